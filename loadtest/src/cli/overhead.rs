//! Flags of `overhead`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{ContainerdArg, OutputArg, UsageError, agent_beside_this_program, from_to, within};
use crate::{overhead::OverheadConfig, units::ByteSize};

const EXAMPLES: &str = "\
First the mirror of each node is asked for blobs that nobody has, one at a time, and each 404 is
timed. Then one node pulls. The others hold nothing, so the agent looks for every blob and finds none:
the worst case. Links are not shaped. Results: a table on standard output, and OUT/overhead.json.";

/// As many as a run of real containerds may have on one machine.
const MOST_NODES: u32 = 64;
/// An hour. Nodes that rest longer do nothing else.
const MOST_SETTLE: u32 = 3_600;
/// More misses than say anything more.
const MOST_MISSES: u32 = 10_000;
/// More pairs than anyone has time for; a typing error.
const MOST_PAIRS: u32 = 10_000;
/// More layers would only repeat the same.
const MOST_LAYERS: u32 = 100;

/// Flags of `overhead`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct OverheadArgs {
    /// Nodes, each with a containerd and an agent.
    #[arg(long, default_value_t = 8, value_name = "N")]
    nodes: u32,

    /// How long the nodes rest before misses are timed. Those that have known each other for 203 s
    /// need fewer answers to know that nobody has a blob.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    settle: u32,

    /// Misses timed at the mirror of each node.
    #[arg(long, default_value_t = 100, value_name = "M")]
    misses: u32,

    /// How many pairs of pulls, one with and one without the agent.
    #[arg(long, default_value_t = 30)]
    pairs: u32,

    /// Bytes of each image's layers together; small, so that the bytes do not hide the requests.
    #[arg(long, default_value = "1MiB")]
    image_size: ByteSize,

    /// Layers of each image.
    #[arg(long, default_value_t = 6)]
    layers: u32,

    /// Which containerd: 2.2, or 1.6 of Debian 12.
    #[arg(long, default_value = "2.2", value_name = "VERSION")]
    containerd: ContainerdArg,

    /// The agent's program [default: beside this program].
    #[arg(long, value_name = "PATH")]
    agent_bin: Option<PathBuf>,

    /// Where the report goes.
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: PathBuf,

    /// What is printed at the end.
    #[arg(long, default_value = "table")]
    pub output: OutputArg,
}

// === impl OverheadArgs ===

impl OverheadArgs {
    /// Checks the flags.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn build(&self) -> Result<OverheadConfig, UsageError> {
        within("nodes", self.nodes, MOST_NODES)?;
        from_to("settle", self.settle, 0, MOST_SETTLE)?;
        within("misses", self.misses, MOST_MISSES)?;
        within("pairs", self.pairs, MOST_PAIRS)?;
        within("layers", self.layers, MOST_LAYERS)?;
        Ok(OverheadConfig {
            nodes: self.nodes,
            settle: Duration::from_secs(self.settle.into()),
            misses: self.misses,
            pairs: self.pairs,
            image_size: self.image_size,
            layers: self.layers,
            version: self.containerd.into(),
            agent: self.agent_bin.clone().unwrap_or_else(agent_beside_this_program),
            out: self.out.clone(),
        })
    }
}
