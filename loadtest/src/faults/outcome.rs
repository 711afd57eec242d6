//! What one storm with one fault showed.

use serde::{Deserialize, Serialize};

use super::{Fault, Pull, Verdict, bystander::Small};
use crate::fleet::FleetError;

/// One storm with one fault. Times are in seconds from the storm's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRun {
    /// What went wrong.
    pub fault: Fault,
    /// On which node; absent where it strikes none.
    pub victim: Option<String>,
    /// When.
    pub struck_seconds: f64,
    /// The share of the image that the victim had not yet.
    pub unfinished_share: f64,
    /// What the registry sent.
    pub egress_bytes: u64,
    /// The same as a multiple of the image.
    pub egress_images: f64,
    /// The slowest of the nodes that were not struck: its last attempt, as the one before, if any, is
    /// what the fault may cost.
    pub last_unhurt_seconds: f64,
    /// The same as a multiple of the slowest in the undisturbed storms of this run.
    pub last_ratio: Option<f64>,
    /// One entry for each node that pulled in the storm.
    pub pulls: Vec<Pull>,
    /// The unrelated image; only with `frozen-lead`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small: Option<Small>,
    /// Whether the limits held.
    pub verdict: Verdict,
}

// === impl FaultRun ===

impl FaultRun {
    /// The entry of a storm that did not come about.
    pub fn unmeasured(fault: Fault, error: &FleetError) -> Self {
        let lost = vec![format!("not measured: {}", error.chain())];
        Self {
            fault,
            victim: None,
            struck_seconds: 0.0,
            unfinished_share: 0.0,
            egress_bytes: 0,
            egress_images: 0.0,
            last_unhurt_seconds: 0.0,
            last_ratio: None,
            pulls: Vec::new(),
            small: None,
            verdict: Verdict { lost, missed: Vec::new() },
        }
    }

    /// Attempts of nodes that were not struck and failed.
    pub fn failed_unhurt(&self) -> usize {
        self.pulls.iter().filter(|pull| !pull.hurt).map(|pull| pull.errors.len()).sum()
    }

    /// The pull of the node that was struck.
    pub fn hurt_pull(&self) -> Option<&Pull> {
        self.pulls.iter().find(|pull| pull.hurt)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Three nodes, half the image missing on the first when it was struck, nothing lost.
    pub(crate) fn fault_run(fault: Fault) -> FaultRun {
        let pulls = [(1, 4.0), (2, 3.0), (3, 3.5)].map(|(number, seconds)| Pull {
            node: format!("node-{number}"),
            hurt: number == 1,
            seconds,
            last_seconds: seconds,
            waited_seconds: 0.0,
            attempts: 1,
            errors: Vec::new(),
            succeeded: true,
        });
        FaultRun {
            fault,
            victim: Some("node-1".into()),
            struck_seconds: 1.5,
            unfinished_share: 0.5,
            egress_bytes: 11 << 20,
            egress_images: 1.1,
            last_unhurt_seconds: 3.5,
            last_ratio: Some(1.25),
            pulls: pulls.to_vec(),
            small: None,
            verdict: Verdict::default(),
        }
    }

    impl Pull {
        pub(crate) fn fail_once(&mut self) {
            self.attempts += 1;
            self.errors.push("EOF".into());
        }
    }

    #[test]
    fn failed_attempts_of_the_struck_node_are_not_those_of_others() {
        let mut run = fault_run(Fault::PowerOff);
        run.pulls[0].fail_once();
        run.pulls[2].fail_once();
        run.pulls[2].fail_once();
        assert_eq!(run.failed_unhurt(), 2);
        assert_eq!(run.hurt_pull().map(|pull| pull.attempts), Some(2));
    }
}
