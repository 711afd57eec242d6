//! Flags of `hop`.

use std::path::PathBuf;

use clap::Args;

use super::{OutputArg, UsageError, within};
use crate::{hop::HopConfig, units::ByteSize};

const EXAMPLES: &str = "\
Use a release build. Everything runs on loopback; peer, mirror and client are processes of their
own. Results: a table on standard output, and OUT/hop.json.";

/// More repeats than anyone has time for; a typing error.
const MOST_REPEATS: u32 = 1000;

/// Flags of `hop`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct HopArgs {
    /// Bytes of the blob; it should fit into memory three times.
    #[arg(long, default_value = "1GiB")]
    size: ByteSize,

    /// How often; figures are medians.
    #[arg(long, default_value_t = 5, value_name = "R")]
    repeat: u32,

    /// Where the blob and the report go; the blob is removed afterwards.
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: PathBuf,

    /// What is printed at the end.
    #[arg(long, default_value = "table")]
    pub output: OutputArg,
}

// === impl HopArgs ===

impl HopArgs {
    /// Checks the flags.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn build(&self) -> Result<HopConfig, UsageError> {
        within("repeat", self.repeat, MOST_REPEATS)?;
        Ok(HopConfig { size: self.size, repeats: self.repeat, out: self.out.clone() })
    }
}
