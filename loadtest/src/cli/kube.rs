//! Flags of `kube`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use onepull_testbed::Version;

use super::{OutputArg, UsageError, beside_this_program, run::MOST_LAYERS, within};
use crate::{
    cluster::{ClusterConfig, Fault, Private},
    units::{ByteSize, LinkRate},
};

const EXAMPLES: &str = "\
Starts etcd and kube-apiserver, a registry, the controller, and nodes of a containerd and an agent each,
all in network namespaces; then applies an ImageCache as a user of kube-fledged has it, with only
apiVersion changed: two lists of images, two node selectors, a pull secret. Of four nodes one is selected
by the first list, one by both, one by the second and one by none.

Examples:
With small images on slow links:
    onepull-loadtest kube --nodes 4 --image-size 16MiB --nic 100Mbit
A seed that dies in the middle:
    onepull-loadtest kube --nic 100Mbit --fault seed
A private registry, whose login only the seeds get to see:
    onepull-loadtest kube --private secret

Results: a table on standard output, OUT/kube.json, and OUT/imagecache.yaml, the file that was applied.
When something was not as it is to be, OUT/logs has the logs of agents, controller and API server.
Exit status: 0 when all criteria were met, 1 when one was not, 2 on a usage error.";

/// One node of each kind.
const LEAST_NODES: u32 = 4;
/// More containerds and agents than a machine of two cores runs.
const MOST_NODES: u32 = 100;
/// Tokens of agents are good for an hour.
const MOST_SECONDS: u32 = 3000;

/// Flags of `kube`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct KubeArgs {
    /// How many nodes there are, four at least.
    #[arg(long, default_value_t = 8)]
    nodes: u32,

    /// Bytes of each of the three images' layers together, as in 64MiB or 1GiB.
    #[arg(long, default_value = "64MiB")]
    image_size: ByteSize,

    /// Layers of each image.
    #[arg(long, default_value_t = 4)]
    layers: u32,

    /// A node's link, each way, as in 200Mbit or 10Gbit.
    #[arg(long, default_value = "200Mbit")]
    nic: LinkRate,

    /// The registry's uplink [default: as --nic].
    #[arg(long, value_name = "RATE")]
    registry_rate: Option<LinkRate>,

    /// What goes wrong when the registry has sent a third of the images. Images of 64 MiB on links of
    /// 100 Mbit/s are large enough for it.
    #[arg(long)]
    fault: Option<Fault>,

    /// The registry wants a login, and seeds come by it so.
    #[arg(long)]
    private: Option<Private>,

    /// How many seconds it may take until the ImageCache is Ready.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u32,

    /// The agent's program [default: beside this program].
    #[arg(long, value_name = "PATH")]
    agent_bin: Option<PathBuf>,

    /// The controller's program [default: beside this program].
    #[arg(long, value_name = "PATH")]
    controller_bin: Option<PathBuf>,

    /// Where the report goes; images and stores are made there too, and removed afterwards.
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: PathBuf,

    /// What is printed at the end.
    #[arg(long, default_value = "table")]
    pub output: OutputArg,
}

// === impl KubeArgs ===

impl KubeArgs {
    /// Checks the flags.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn build(&self) -> Result<ClusterConfig, UsageError> {
        within("layers", self.layers, MOST_LAYERS)?;
        within("timeout", self.timeout, MOST_SECONDS)?;
        if !(LEAST_NODES..=MOST_NODES).contains(&self.nodes) {
            let (least, most, given) = (LEAST_NODES, MOST_NODES, self.nodes);
            return Err(UsageError::OutOfRange { flag: "nodes", least, most, given });
        }
        let program = |given: &Option<PathBuf>, name| {
            given.clone().unwrap_or_else(|| beside_this_program(name))
        };
        Ok(ClusterConfig {
            nodes: self.nodes,
            image_size: self.image_size,
            layers: self.layers,
            nic: self.nic,
            registry: self.registry_rate.unwrap_or(self.nic),
            version: Version::V2_2,
            agent: program(&self.agent_bin, "onepull-agent"),
            controller: program(&self.controller_bin, "onepull-controller"),
            fault: self.fault,
            private: self.private,
            timeout: Duration::from_secs(self.timeout.into()),
            out: self.out.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn build(flags: &str) -> Result<ClusterConfig, UsageError> {
        let words = ["onepull-loadtest", "kube"].into_iter().chain(flags.split_whitespace());
        let Command::Kube(args) = Cli::try_parse_from(words).unwrap().command else { panic!() };
        args.build()
    }

    #[test]
    fn there_is_one_node_of_each_kind_at_least() {
        let error = build("--nodes 3").unwrap_err().to_string();
        assert_eq!(error, "--nodes must be from 4 to 100, not 3");
        let config = build("").unwrap();
        assert_eq!((config.nodes, config.registry), (8, config.nic));
        assert!(config.controller.ends_with("onepull-controller"));
    }
}
