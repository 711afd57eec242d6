//! The command line.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use onepull_testbed::Version;
use thiserror::Error;

mod control_plane;
mod hop;
mod kube;
mod memory;
mod overhead;
mod run;
mod sim;
mod trials;

pub use control_plane::ControlPlaneArgs;
pub use hop::HopArgs;
pub use kube::KubeArgs;
pub use memory::MemoryArgs;
pub use overhead::OverheadArgs;
pub use run::{RunArgs, StoreArg};
pub use sim::SimArgs;
pub use trials::TrialArgs;

/// Measures what a registry sends, and how long nodes wait, when many nodes pull one image.
#[derive(Debug, Parser)]
#[command(name = "onepull-loadtest", version, max_term_width = 100)]
pub struct Cli {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be measured, and the parts that measurements start as processes of their own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let nodes pull an image in each of several ways, and compare.
    Run(RunArgs),
    /// Measure what the agent adds to a pull that it cannot help; needs root.
    Overhead(OverheadArgs),
    /// Measure throughput and CPU time of one hop, peer to mirror to client, beside nginx.
    Hop(HopArgs),
    /// Measure the memory of an agent, idle and while it serves four streams; needs root.
    Memory(MemoryArgs),
    /// Roll images out in a cluster with a real API server, as an ImageCache says; needs root.
    Kube(KubeArgs),
    /// Measure the controller in a large cluster: plans, memory, writes, time until all nodes are warm.
    ControlPlane(ControlPlaneArgs),
    /// Simulate many nodes on virtual time, with the real coordinator.
    Sim(SimArgs),
    /// A node over a folder, until standard input ends.
    #[command(hide = true)]
    Node(NodeArgs),
    /// A client that throws away what it fetches.
    #[command(hide = true)]
    Client {
        /// What to fetch.
        url: String,
    },
    /// A thread that hashes.
    #[command(hide = true)]
    Hash {
        /// How much.
        bytes: u64,
    },
}

/// Flags of `node`.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The address to listen on.
    #[arg(long)]
    pub ip: IpAddr,
    /// The store's folder.
    #[arg(long)]
    pub store: PathBuf,
    /// A peer to join through.
    #[arg(long)]
    pub bootstrap: Option<SocketAddr>,
    /// The file with the key that it has in common with its peers.
    #[arg(long)]
    pub cluster_key_file: Option<PathBuf>,
}

/// Values of `--containerd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ContainerdArg {
    /// Built from its Go module.
    #[value(name = "2.2")]
    V2_2,
    /// Debian 12's package.
    #[value(name = "1.6")]
    V1_6,
}

/// Values of `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputArg {
    /// A text table.
    Table,
    /// What `report.json` holds.
    Json,
}

/// Flags that are well formed but make no load test.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum UsageError {
    /// Too few or too many.
    #[error("--{flag} must be from {least} to {most}, not {given}")]
    OutOfRange {
        /// Which flag.
        flag: &'static str,
        /// Its least value.
        least: u32,
        /// Its greatest value.
        most: u32,
        /// What was given.
        given: u32,
    },
    /// One means nothing without the other.
    #[error("{flag} needs {needs}")]
    Needs {
        /// Which flag.
        flag: &'static str,
        /// What has to be given with it.
        needs: &'static str,
    },
}

// === impl ContainerdArg ===

impl From<ContainerdArg> for Version {
    fn from(argument: ContainerdArg) -> Self {
        match argument {
            ContainerdArg::V2_2 => Self::V2_2,
            ContainerdArg::V1_6 => Self::V1_6,
        }
    }
}

fn agent_beside_this_program() -> PathBuf {
    beside_this_program("onepull-agent")
}

/// Where a build or a package puts it.
fn beside_this_program(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.with_file_name(name)
}

fn within(flag: &'static str, given: u32, most: u32) -> Result<(), UsageError> {
    from_to(flag, given, 1, most)
}

fn from_to(flag: &'static str, given: u32, least: u32, most: u32) -> Result<(), UsageError> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(UsageError::OutOfRange { flag, least, most, given })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
