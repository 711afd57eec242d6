//! What a load test reports: the schema of `report.json`, and how it is shown.
//!
//! Sizes are in bytes, times in seconds, rates in bits per second. Fields are only ever added
//! within a version of [`SCHEMA`]; renaming or removing one makes a new version.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    arm::Arm,
    faults::FaultRun,
    fleet::Meter,
    late::LateRun,
    machine::Machine,
    model::Model,
    pattern::Pattern,
    units::{ByteSize, LinkRate},
};

mod flows;
mod grid;
pub mod html;
pub(crate) mod plot;
mod summary;
pub mod table;
#[cfg(test)]
mod testing;
pub(crate) mod trials;

pub(crate) use grid::grid;
pub(crate) use plot::escape;
pub use summary::Summary;
pub(crate) use summary::median;
pub(crate) use table::megabytes;

/// The name and version of the format.
pub const SCHEMA: &str = "onepull.dev/loadtest-run/v1";

/// The name under which a registry appears in [`Flow::from`].
pub const REGISTRY: &str = "registry";

/// A whole load test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The command line that made it.
    pub command: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was asked for.
    pub setup: Setup,
    /// What physics allows.
    pub model: Model,
    /// One row an arm: medians over its repeats.
    pub summary: Vec<Summary>,
    /// Every run, in the order in which they ran.
    pub runs: Vec<Run>,
    /// What went wrong on purpose, each in a storm of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultRun>,
    /// Nodes that came late, each kind in a storm of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateRun>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Who pulled when.
    pub pattern: Pattern,
    /// What the nodes were made of.
    pub store: String,
    /// How many there were.
    pub nodes: u32,
    /// Which image: `generated` or the folder it came from.
    pub image: String,
    /// Bytes of its manifest, configuration and layers as stored.
    pub image_bytes: ByteSize,
    /// How many layers it has.
    pub layers: u32,
    /// A node's link, each way.
    pub nic: LinkRate,
    /// The registry's uplink.
    pub registry: LinkRate,
    /// What Spegel calls its version; absent where it did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spegel: Option<String>,
}

/// One arm, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Which arm.
    pub arm: Arm,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// What the registry sent, as [`Meter::egress`] counts it.
    pub egress_bytes: u64,
    /// The same with headers.
    pub egress_wire_bytes: u64,
    /// From the start of the first pull to the end of the last.
    pub total_seconds: f64,
    /// One entry a node; where one pulled first, it is the first.
    pub nodes: Vec<NodeRun>,
    /// When another node was told to ask the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// Who sent how much to whom.
    pub flows: Vec<Flow>,
    /// Bytes over time.
    pub samples: Samples,
}

/// One node's pull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRun {
    /// The node.
    pub name: String,
    /// When its pull started, after the start of the run.
    pub started_seconds: f64,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Another node was told to ask the registry: what a controller does when the first one cannot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// When, after the start of the run.
    pub seconds: f64,
    /// The node that had been told so before.
    pub from: String,
    /// The node that is now.
    pub to: String,
    /// What a node said.
    pub reason: String,
}

/// Bytes that one party sent to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The sender: a node's name or [`REGISTRY`].
    pub from: String,
    /// The receiving node.
    pub to: String,
    /// How many.
    pub bytes: u64,
}

/// Counters read at a fixed interval, from the start of the run on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Time between two readings.
    pub interval_seconds: f64,
    /// What the registry had sent by then.
    pub egress: Vec<u64>,
    /// What each node had received by then; one list a node.
    pub received: Vec<Vec<u64>>,
}

/// A duration as reports hold it: seconds, to the millisecond, which is all that a pull has.
#[allow(clippy::cast_precision_loss, reason = "milliseconds of a load test fit in 53 bits")]
pub fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

// === impl Report ===

impl Report {
    /// Whether every pull of every run succeeded, and no fault cost a pull.
    pub fn succeeded(&self) -> bool {
        let verdicts = self.faults.iter().map(|run| &run.verdict);
        let mut verdicts = verdicts.chain(self.late.iter().map(|run| &run.verdict));
        self.failures().next().is_none() && verdicts.all(|verdict| verdict.lost.is_empty())
    }

    /// Every failed pull.
    pub fn failures(&self) -> impl Iterator<Item = (&Run, &NodeRun)> {
        let pulls = self.runs.iter().flat_map(|run| run.nodes.iter().map(move |node| (run, node)));
        pulls.filter(|(_, node)| node.error.is_some())
    }
}

// === impl Move ===

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, from, to, reason } = self;
        write!(f, "at {seconds:.1} s {to} was told to ask the registry instead of {from}: {reason}")
    }
}

// === impl Samples ===

impl Samples {
    /// No samples yet, of `nodes` nodes.
    pub fn new(interval: Duration, nodes: usize) -> Self {
        let interval_seconds = interval.as_secs_f64();
        Self { interval_seconds, egress: Vec::new(), received: vec![Vec::new(); nodes] }
    }

    /// Adds a reading.
    pub fn push(&mut self, meter: &Meter) {
        self.egress.push(meter.egress);
        for (list, received) in self.received.iter_mut().zip(&meter.received) {
            list.push(*received);
        }
    }
}
