//! Flags of `sim`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{OutputArg, UsageError, within};
use crate::{
    sim::{SimConfig, SimPattern},
    units::{ByteSize, LinkRate},
};

const EXAMPLES: &str = "\
Examples:
  A thousand nodes that are told to follow one:
    onepull-loadtest sim
  A hundred that nobody told, in three zones, and whoever pulls dies in the middle:
    onepull-loadtest sim --pattern storm --nodes 100 --layers 10 --zones 3 --kill-lead-at 50
  The cost of a claim, by the number of nodes, on this machine:
    onepull-loadtest sim --claim-cost

The same flags and seed give the same figures. Results: a table on standard output, and
OUT/report.json and OUT/report.html (open it in a browser).";

/// What a coordinator takes in one storm.
const MOST_NODES: u32 = 8192;
/// containerd and Docker refuse images with more layers.
const MOST_LAYERS: u32 = 127;
/// More zones than any cloud's region has.
const MOST_ZONES: u32 = 100;
/// At 100 % nobody is left to die.
const MOST_PERCENT: u32 = 99;

/// Flags of `sim`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SimArgs {
    /// Who pulls when. planned: the first node pulls, all others are told to follow. storm: all at
    /// once, and nobody planned it. staged: all others once the first has everything.
    #[arg(long, default_value = "planned")]
    pattern: SimPattern,

    /// How many nodes.
    #[arg(long, default_value_t = 1000)]
    nodes: u32,

    /// Bytes of all layers together.
    #[arg(long, default_value = "10GiB")]
    image_size: ByteSize,

    /// Layers, of equal size.
    #[arg(long, default_value_t = 1)]
    layers: u32,

    /// A node's link, each way.
    #[arg(long, default_value = "10Gbit")]
    nic: LinkRate,

    /// The registry's uplink [default: as --nic].
    #[arg(long, value_name = "RATE")]
    registry_rate: Option<LinkRate>,

    /// Zones that the nodes are dealt out to.
    #[arg(long, default_value_t = 1)]
    zones: u32,

    /// Bytes that are sent on at a time.
    #[arg(long, default_value = "1MiB")]
    piece: ByteSize,

    /// Microseconds from one node to another.
    #[arg(long, default_value_t = 500, value_name = "MICROSECONDS")]
    hop_latency: u32,

    /// Bytes that a node hashes in a second.
    #[arg(long, default_value = "1500MB", value_name = "SIZE")]
    hash_rate: ByteSize,

    /// Bytes that a node writes in a second.
    #[arg(long, default_value = "2GB", value_name = "SIZE")]
    disk_rate: ByteSize,

    /// How unequally streams share an uplink: weights are drawn from 100 less this to 100 more.
    #[arg(long, default_value_t = 80, value_name = "PERCENT",
        value_parser = clap::value_parser!(u32).range(0..100))]
    unevenness: u32,

    /// Milliseconds added to every node's time, also in the formulas: what a real pull spends beside
    /// the transfer, above all on unpacking. `run` shows it: arm `ideal` less its bound.
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    overhead: u32,

    /// Kill the node that got most from the registry, once that has sent so much of the image.
    #[arg(long, value_name = "PERCENT")]
    kill_lead_at: Option<u32>,

    /// What chance is made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Instead of a simulation, time claims on this machine among 10 to 5,000 nodes.
    #[arg(long)]
    pub claim_cost: bool,

    /// Where the report goes.
    #[arg(long, default_value = "out", value_name = "DIR")]
    pub out: PathBuf,

    /// What is printed at the end.
    #[arg(long, default_value = "table")]
    pub output: OutputArg,
}

// === impl SimArgs ===

impl SimArgs {
    /// Checks the flags.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn build(&self) -> Result<SimConfig, UsageError> {
        within("nodes", self.nodes, MOST_NODES)?;
        let least = 2;
        if self.nodes < least {
            let (flag, most, given) = ("nodes", MOST_NODES, self.nodes);
            return Err(UsageError::OutOfRange { flag, least, most, given });
        }
        within("layers", self.layers, MOST_LAYERS)?;
        within("zones", self.zones, MOST_ZONES)?;
        within("kill-lead-at", self.kill_lead_at.unwrap_or(1), MOST_PERCENT)?;
        Ok(SimConfig {
            pattern: self.pattern,
            nodes: self.nodes,
            image_size: self.image_size,
            layers: self.layers,
            nic: self.nic,
            registry: self.registry_rate.unwrap_or(self.nic),
            zones: self.zones,
            piece: self.piece,
            hop_latency: Duration::from_micros(self.hop_latency.into()),
            hash_rate: self.hash_rate,
            disk_rate: self.disk_rate,
            unevenness: self.unevenness,
            overhead: Duration::from_millis(self.overhead.into()),
            kill_lead_at: self.kill_lead_at,
            seed: self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn config(flags: &str) -> Result<SimConfig, UsageError> {
        let words = ["onepull-loadtest", "sim"].into_iter().chain(flags.split_whitespace());
        let Command::Sim(args) = Cli::try_parse_from(words).unwrap().command else { panic!() };
        args.build()
    }

    #[test]
    fn without_flags_a_thousand_nodes_follow_one_at_ten_gigabits() {
        let config = config("").unwrap();
        assert_eq!((config.nodes, config.layers, config.zones), (1000, 1, 1));
        assert_eq!(config.image_size, ByteSize::new(10 << 30));
        assert_eq!((config.nic, config.registry), (LinkRate::new(10_000_000_000), config.nic));
        assert_eq!(config.hop_latency, Duration::from_micros(500));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for flags in ["--nodes 1", "--nodes 8193", "--layers 0", "--zones 0", "--kill-lead-at 100"]
        {
            assert!(config(flags).is_err(), "{flags}");
        }
    }
}
