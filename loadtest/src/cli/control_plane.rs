//! Flags of `control-plane`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{OutputArg, UsageError, beside_this_program, within};
use crate::control_plane::ControlPlaneConfig;

const EXAMPLES: &str = "\
Use a release build. Nodes are objects as large as real ones in a real API server and etcd; their agents
are one task each of this program, which write statuses as real agents do; the controller is a process of
its own, and resolves the images at a real registry. Results: a table on standard output, and
OUT/control-plane.json. The exit status is 1 when a figure is beyond its limit.";

/// Nodes of the largest clusters that Kubernetes is made for.
const MOST_NODES: u32 = 5_000;
/// What a node's object has room for.
const MOST_IMAGES: u32 = 256;
/// Longer than anyone has time for; a typing error.
const MOST_SECONDS: u32 = 7_200;

/// Flags of `control-plane`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ControlPlaneArgs {
    /// How many nodes.
    #[arg(long, default_value_t = 1_000)]
    nodes: u32,

    /// How many images each is to hold, in four caches.
    #[arg(long, default_value_t = 20)]
    images: u32,

    /// How long a node takes to bring in one image, if it can report as fast as that.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    image_seconds: u32,

    /// How long the cluster is watched at rest; watches of an API server last 5 to 10 minutes.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    rest_seconds: u32,

    /// How long all nodes may take at most until the measurement is given up.
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    limit_seconds: u32,

    /// The controller's program [default: beside this program].
    #[arg(long, value_name = "PATH")]
    controller_bin: Option<PathBuf>,

    /// Where the report and the controller's log go.
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: PathBuf,

    /// What is printed at the end.
    #[arg(long, default_value = "table")]
    pub output: OutputArg,
}

// === impl ControlPlaneArgs ===

impl ControlPlaneArgs {
    /// Checks the flags.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn build(&self) -> Result<ControlPlaneConfig, UsageError> {
        within("nodes", self.nodes, MOST_NODES)?;
        within("images", self.images, MOST_IMAGES)?;
        within("image-seconds", self.image_seconds, MOST_SECONDS)?;
        within("rest-seconds", self.rest_seconds, MOST_SECONDS)?;
        within("limit-seconds", self.limit_seconds, MOST_SECONDS)?;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let beside = || beside_this_program("onepull-controller");
        Ok(ControlPlaneConfig {
            nodes: self.nodes,
            images: self.images,
            image_time: seconds(self.image_seconds),
            rest: seconds(self.rest_seconds),
            limit: seconds(self.limit_seconds),
            controller: self.controller_bin.clone().unwrap_or_else(beside),
            out: self.out.clone(),
        })
    }
}
