//! Flags of `run` for storms in which something happens.

use clap::{Args, ValueEnum, builder::PossibleValue};

use super::{StoreArg, UsageError};
use crate::{arm::Arm, faults::Fault, late::Late, pattern::Pattern, run::Trials};

/// With fewer there is no node left that a fault could have hurt by accident.
const LEAST_NODES: u32 = 3;

/// Flags of `run` for storms in which something happens.
#[derive(Debug, Args)]
pub struct TrialArgs {
    /// What goes wrong, when about half the image is there; separate several by commas. Each has a
    /// storm of its own beside the undisturbed one. Needs --store containerd and --pattern storm.
    #[arg(long, value_delimiter = ',', value_name = "FAULT")]
    faults: Vec<FaultArg>,

    /// Who comes late; separate several by commas. Each has a storm of its own. Needs --store
    /// containerd and --pattern storm.
    #[arg(long, value_delimiter = ',', value_name = "WHEN")]
    late: Vec<Late>,
}

/// Values of `--faults`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultArg {
    All,
    One(Fault),
}

// === impl FaultArg ===

impl ValueEnum for FaultArg {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [FaultArg; Fault::ALL.len() + 1] = {
            let mut variants = [FaultArg::All; Fault::ALL.len() + 1];
            let mut index = 0;
            while index < Fault::ALL.len() {
                variants[index] = FaultArg::One(Fault::ALL[index]);
                index += 1;
            }
            variants
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::All => Some(PossibleValue::new("all").help("All of these, one after the other")),
            Self::One(fault) => fault.to_possible_value(),
        }
    }
}

// === impl TrialArgs ===

impl TrialArgs {
    /// The arms that the figures are compared with.
    pub(super) fn default_arms(&self) -> Vec<Arm> {
        match (self.faults.is_empty(), self.late.is_empty()) {
            (true, true) => vec![Arm::Direct, Arm::Ideal, Arm::Onepull],
            (false, true) => vec![Arm::Onepull],
            (_, false) => vec![Arm::Ideal, Arm::Onepull],
        }
    }

    /// Checks the flags against the others.
    ///
    /// # Errors
    /// When they ask for a storm that cannot be had.
    pub(super) fn build(
        &self,
        arms: &[Arm],
        pattern: Pattern,
        store: StoreArg,
        nodes: u32,
    ) -> Result<Trials, UsageError> {
        let trials = Trials { faults: self.faults(), late: self.late.clone() };
        let any = !trials.faults.is_empty() || !trials.late.is_empty();
        let needs = |flag, needs| Err(UsageError::Needs { flag, needs });
        match (store, pattern) {
            (StoreArg::Embedded, _) if any => needs("--faults or --late", "--store containerd"),
            (_, Pattern::Planned | Pattern::Staged) if any => {
                needs("--faults or --late", "--pattern storm")
            }
            _ if trials.faults.is_empty() => Ok(trials),
            _ if !arms.contains(&Arm::Onepull) => needs("--faults", "the arm onepull"),
            _ if nodes < LEAST_NODES => needs("--faults", "--nodes 3 at least"),
            _ => Ok(trials),
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let faults = self.faults.iter().flat_map(|fault| match fault {
            FaultArg::All => Fault::ALL.to_vec(),
            FaultArg::One(fault) => vec![*fault],
        });
        faults.collect()
    }
}
