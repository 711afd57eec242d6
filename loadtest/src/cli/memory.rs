//! Flags of `memory`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{OutputArg, UsageError, agent_beside_this_program, within};
use crate::{memory::MemoryConfig, units::ByteSize};

const EXAMPLES: &str = "\
Use a release build. A real containerd holds an image of four layers; two readers take a layer each
as fast as they can, two others at 1 MiB/s. Results: a table on standard output, and
OUT/memory.json.";

/// Longer than anyone has time for; a typing error.
const MOST_SECONDS: u32 = 3600;

/// Flags of `memory`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MemoryArgs {
    /// Bytes of each of the four layers.
    #[arg(long, default_value = "64MiB")]
    layer_size: ByteSize,

    /// How long the streams are served.
    #[arg(long, default_value_t = 10)]
    seconds: u32,

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

// === impl MemoryArgs ===

impl MemoryArgs {
    /// Checks the flags.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn build(&self) -> Result<MemoryConfig, UsageError> {
        within("seconds", self.seconds, MOST_SECONDS)?;
        Ok(MemoryConfig {
            layer_size: self.layer_size,
            duration: Duration::from_secs(self.seconds.into()),
            agent: self.agent_bin.clone().unwrap_or_else(agent_beside_this_program),
            out: self.out.clone(),
        })
    }
}
