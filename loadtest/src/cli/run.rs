//! Flags of `run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use onepull_testbed::layout::Spec;

use super::{ContainerdArg, OutputArg, TrialArgs, UsageError, agent_beside_this_program, within};
use crate::{
    arm::Arm,
    fleet::embedded::MOST_NODES,
    pattern::Pattern,
    run::{ImageSource, RunConfig, StoreKind},
    units::{ByteSize, LinkRate},
};

const RUN_EXAMPLES: &str = "\
Examples:
  Compare all three ways on eight embedded nodes; needs no root:
    onepull-loadtest run
  What one slow link costs, three times over, with the report elsewhere:
    onepull-loadtest run --arm direct,onepull --nic 50Mbit --repeat 3 --out /tmp/report
  Eight nodes that all want the image at once:
    onepull-loadtest run --pattern storm
  Eight real containerds behind 200 Mbit/s links, told what to hold; needs root:
    onepull-loadtest run --store containerd --arm ideal,onepull --image-size 256MiB
  What every fault costs eight real containerds in a storm, and what late nodes cost:
    onepull-loadtest run --store containerd --pattern storm --faults all --image-size 256MiB
    onepull-loadtest run --store containerd --pattern storm --late 50%,done,fleet
  Beside Spegel:
    onepull-loadtest run --store containerd --pattern storm --arm ideal,spegel,onepull \
      --spegel-bin ./spegel
  Your own image (made, for example, with `skopeo copy docker://… oci:my-image`):
    onepull-loadtest run --image my-image

Results: a table on standard output, and OUT/report.json and OUT/report.html (open it in a browser).
Of a storm with a fault or late nodes that was not within its limits, OUT/logs has the agents' logs.
Exit status: 0 when every pull succeeded, 1 when one failed, 2 on a usage error. With --faults: 1 when
a node that the fault did not strike had a failed pull, or the struck one never got the image; what
was slow or took too much of the registry is reported and is no failure.";

/// Flags of `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// How nodes get the image; repeat it or separate several by commas, they run one after the
    /// other. direct: all from one registry. ideal: each from a registry of its own, the best this
    /// machine can do. onepull: through the agent on each node. spegel: through Spegel on each node
    /// (see --spegel-bin) [default: direct,ideal,onepull; onepull with --faults; ideal,onepull with
    /// --late].
    #[arg(long, value_delimiter = ',')]
    arm: Vec<Arm>,

    /// Who pulls when. planned: all agents are told at once to hold the image, one of them from the
    /// registry and the others from it; arms without agents pull, all at once (--store containerd
    /// only). staged: one node pulls first; once others can find what it has, all the others. storm:
    /// all pull at once, and nobody planned it [default: planned with --store containerd; staged
    /// with --store embedded or --arm spegel].
    #[arg(long)]
    pattern: Option<Pattern>,

    /// How many nodes pull.
    #[arg(long, default_value_t = 8)]
    nodes: u32,

    /// Bytes of the generated image's layers together, as in 64MiB or 1GiB.
    #[arg(long, default_value = "64MiB")]
    image_size: ByteSize,

    /// Layers of the generated image.
    #[arg(long, default_value_t = 4)]
    layers: u32,

    /// The generated image's layers have different sizes: with 12, from 1/78 to 12/78 of it.
    #[arg(long)]
    mixed: bool,

    /// An OCI layout folder to pull instead of a generated image.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["image_size", "layers", "mixed", "seed"])]
    image: Option<PathBuf>,

    /// What the generated image's content is made from; the same seed makes the same image.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// A node's link, each way, as in 200Mbit or 10Gbit.
    #[arg(long, default_value = "200Mbit")]
    nic: LinkRate,

    /// The registry's uplink [default: as --nic].
    #[arg(long, value_name = "RATE")]
    registry_rate: Option<LinkRate>,

    /// Agents have a cluster key: peers speak mutual TLS, and the DHT has a pre-shared key.
    #[arg(long)]
    secure: bool,

    /// What nodes are made of. embedded: all in this process, on loopback addresses. containerd: a
    /// containerd and an agent process each, in a network namespace with a shaped link; needs root.
    #[arg(long, default_value = "embedded")]
    store: StoreArg,

    /// Which containerd: 2.2, or 1.6 of Debian 12.
    #[arg(long, default_value = "2.2", value_name = "VERSION")]
    containerd: ContainerdArg,

    /// The agent's program, for --store containerd [default: beside this program].
    #[arg(long, value_name = "PATH")]
    agent_bin: Option<PathBuf>,

    /// What goes wrong, and who comes late.
    #[command(flatten)]
    trials: TrialArgs,

    /// Spegel's program, for --arm spegel: a released version (0.7 was used for README).
    #[arg(long, value_name = "PATH")]
    spegel_bin: Option<PathBuf>,

    /// How often each arm runs; figures are medians.
    #[arg(long, default_value_t = 1, value_name = "R")]
    repeat: u32,

    /// Where reports go; images and stores are made there too, and removed afterwards.
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: PathBuf,

    /// What is printed at the end.
    #[arg(long, default_value = "table")]
    pub output: OutputArg,
}

/// Values of `--store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreArg {
    /// Nodes in this process.
    Embedded,
    /// Nodes in network namespaces.
    Containerd,
}

/// containerd and Docker refuse images with more layers.
pub(super) const MOST_LAYERS: u32 = 127;
/// More repeats than anyone has time for; a typing error.
const MOST_REPEATS: u32 = 1000;

// === impl RunArgs ===

impl RunArgs {
    /// Checks the flags against each other.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn build(&self) -> Result<RunConfig, UsageError> {
        within("nodes", self.nodes, MOST_NODES)?;
        within("layers", self.layers, MOST_LAYERS)?;
        within("repeat", self.repeat, MOST_REPEATS)?;
        let arms = self.arms();
        self.check_arms(&arms)?;
        let pattern = self.pattern(&arms)?;
        let trials = self.trials.build(&arms, pattern, self.store, self.nodes)?;
        let store = match self.store {
            StoreArg::Embedded => StoreKind::Embedded,
            StoreArg::Containerd => StoreKind::Containerd {
                version: self.containerd.into(),
                agent: self.agent_bin.clone().unwrap_or_else(agent_beside_this_program),
            },
        };
        let image = match &self.image {
            Some(folder) => ImageSource::Layout(folder.clone()),
            None => ImageSource::Generated(self.spec()),
        };
        Ok(RunConfig {
            arms,
            trials,
            spegel: self.spegel_bin.clone(),
            pattern,
            store,
            nodes: self.nodes,
            image,
            nic: self.nic,
            registry: self.registry_rate.unwrap_or(self.nic),
            secure: self.secure,
            repeats: self.repeat,
            out: self.out.clone(),
        })
    }

    fn spec(&self) -> Spec {
        let layers = u64::from(self.layers);
        let make = if self.mixed { Spec::mixed } else { Spec::even };
        make(self.image_size.bytes(), layers, self.seed)
    }
}

impl RunArgs {
    /// Those that were named, or those that what is asked needs to be compared with.
    fn arms(&self) -> Vec<Arm> {
        match self.arm.as_slice() {
            [] => self.trials.default_arms(),
            named => named.to_vec(),
        }
    }

    /// What was asked for, or the best that all arms can do.
    fn pattern(&self, arms: &[Arm]) -> Result<Pattern, UsageError> {
        let needs = match (self.store, arms.contains(&Arm::Spegel)) {
            (StoreArg::Embedded, _) => "--store containerd",
            (StoreArg::Containerd, true) => "other arms than spegel",
            (StoreArg::Containerd, false) => return Ok(self.pattern.unwrap_or(Pattern::Planned)),
        };
        match self.pattern {
            Some(Pattern::Planned) => Err(UsageError::Needs { flag: "--pattern planned", needs }),
            other => Ok(other.unwrap_or(Pattern::Staged)),
        }
    }

    fn check_arms(&self, arms: &[Arm]) -> Result<(), UsageError> {
        if !arms.contains(&Arm::Spegel) {
            return Ok(());
        }
        let needs = match (self.store, &self.spegel_bin) {
            (StoreArg::Embedded, _) => "--store containerd",
            (StoreArg::Containerd, None) => "--spegel-bin PATH, its program",
            (StoreArg::Containerd, Some(_)) => return Ok(()),
        };
        Err(UsageError::Needs { flag: "--arm spegel", needs })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        faults::Fault,
        late::Late,
    };

    fn run_config(flags: &str) -> Result<RunConfig, UsageError> {
        let words = ["onepull-loadtest", "run"].into_iter().chain(flags.split_whitespace());
        let Command::Run(args) = Cli::try_parse_from(words).unwrap().command else { panic!() };
        args.build()
    }

    #[test]
    fn without_flags_all_arms_run_on_eight_nodes_behind_a_registry_as_fast_as_they() {
        let config = run_config("").unwrap();
        assert_eq!(config.arms, [Arm::Direct, Arm::Ideal, Arm::Onepull]);
        assert_eq!(config.nodes, 8);
        assert_eq!(config.registry, config.nic);
    }

    #[test]
    fn arms_may_be_repeated_or_separated_by_commas() {
        let config = run_config("--arm direct --arm onepull,ideal").unwrap();
        assert_eq!(config.arms, [Arm::Direct, Arm::Onepull, Arm::Ideal]);
    }

    #[test]
    fn spegel_needs_its_program_and_real_containerds() {
        let refused = |flags: &str| run_config(flags).unwrap_err().to_string();
        assert_eq!(refused("--arm spegel"), "--arm spegel needs --store containerd");
        let error = refused("--arm spegel --store containerd");
        assert_eq!(error, "--arm spegel needs --spegel-bin PATH, its program");
        let config = run_config("--arm spegel --store containerd --spegel-bin a/spegel").unwrap();
        assert_eq!(config.spegel, Some("a/spegel".into()));
    }

    #[test]
    fn only_agents_beside_real_containerds_can_be_told_what_to_hold() {
        let pattern = |flags: &str| run_config(flags).map(|config| config.pattern);
        let spegel = "--store containerd --arm onepull,spegel --spegel-bin a/spegel";
        assert_eq!(pattern(""), Ok(Pattern::Staged));
        assert_eq!(pattern("--store containerd"), Ok(Pattern::Planned));
        assert_eq!(pattern(spegel), Ok(Pattern::Staged));
        assert_eq!(pattern("--store containerd --pattern staged"), Ok(Pattern::Staged));
        let refused = |flags: &str| pattern(flags).unwrap_err().to_string();
        let error = refused("--pattern planned");
        assert_eq!(error, "--pattern planned needs --store containerd");
        let error = refused(&format!("{spegel} --pattern planned"));
        assert_eq!(error, "--pattern planned needs other arms than spegel");
    }

    const STORM: &str = "--store containerd --pattern storm";

    #[test]
    fn faults_are_named_one_by_one_or_all_at_once() {
        let config = run_config(&format!("{STORM} --faults kill-lead,power-off")).unwrap();
        assert_eq!(config.trials.faults, [Fault::KillLead, Fault::PowerOff]);
        assert_eq!(config.arms, [Arm::Onepull]);
        let all = run_config(&format!("{STORM} --faults all")).unwrap();
        assert_eq!(all.trials.faults, Fault::ALL);
    }

    #[test]
    fn late_nodes_are_compared_with_nodes_that_have_a_registry_each() {
        let config = run_config(&format!("{STORM} --late 50%,done,fleet")).unwrap();
        assert_eq!(config.trials.late, [Late::Half, Late::Done, Late::Fleet]);
        assert_eq!(config.arms, [Arm::Ideal, Arm::Onepull]);
    }

    #[test]
    fn faults_need_a_storm_of_three_real_nodes_and_the_calm_one_beside_it() {
        let refused = |flags: &str| run_config(flags).unwrap_err().to_string();
        assert_eq!(refused("--faults all"), "--faults or --late needs --store containerd");
        let error = refused("--faults all --store containerd");
        assert_eq!(error, "--faults or --late needs --pattern storm");
        let error = refused(&format!("{STORM} --faults all --arm ideal"));
        assert_eq!(error, "--faults needs the arm onepull");
        let error = refused(&format!("{STORM} --faults all --nodes 2"));
        assert_eq!(error, "--faults needs --nodes 3 at least");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let error = run_config("--nodes 251").unwrap_err().to_string();
        assert_eq!(error, "--nodes must be from 1 to 250, not 251");
        assert!(run_config("--layers 0").is_err());
    }
}
