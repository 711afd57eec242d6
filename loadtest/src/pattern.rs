//! Who pulls when.

use std::{fmt, sync::Arc, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    fleet::{Fleet, FleetError},
    progress::Progress,
    report::{Move, NodeRun, Samples, seconds},
};

mod controller;
mod planned;

/// How often the counters are read: fine enough to see a stall of a few hundred milliseconds.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What a pattern measured.
#[derive(Debug)]
pub struct Measured {
    /// One entry a node, in the order of their indices.
    pub nodes: Vec<NodeRun>,
    /// The counters over time.
    pub samples: Samples,
    /// When another node was told to ask the registry.
    pub moves: Vec<Move>,
    /// From the start of the first pull to the end of the last.
    pub total: Duration,
}

/// Who pulls when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// All are told at once to hold the image: one from the registry, the others from peers. Nodes
    /// that cannot be told pull, all at once.
    Planned,
    /// One node first; once what it holds can be found, all the others at once.
    Staged,
    /// All at once.
    Storm,
}

// === impl Pattern ===

impl Pattern {
    /// Lets the nodes pull.
    ///
    /// A failed pull is recorded in its node and does not keep the others from pulling.
    ///
    /// # Errors
    /// When the first node pulled but cannot be found afterwards, or a node cannot be told.
    pub async fn run(
        self,
        fleet: Arc<dyn Fleet>,
        progress: &Progress,
    ) -> Result<Measured, FleetError> {
        let start = Instant::now();
        let mut samples = Samples::new(SAMPLE_EVERY, fleet.names().len());
        let (nodes, moves) = tokio::select! {
            nodes = self.all_nodes(&fleet, start, progress) => nodes?,
            never = sample(&*fleet, &mut samples, progress) => match never {},
        };
        let total = start.elapsed();
        samples.push(&fleet.meter());
        Ok(Measured { nodes, samples, moves, total })
    }

    async fn all_nodes(
        self,
        fleet: &Arc<dyn Fleet>,
        start: Instant,
        progress: &Progress,
    ) -> Result<(Vec<NodeRun>, Vec<Move>), FleetError> {
        match (self, fleet.steered()) {
            (Self::Planned, Some(steered)) => {
                planned::release(fleet, steered, start, progress).await
            }
            _ => Ok((pull_all(fleet, self.seeds(), start, progress).await?, Vec::new())),
        }
    }

    /// How many nodes, the first ones, pull before the others.
    pub(crate) fn seeds(self) -> usize {
        match self {
            Self::Staged => 1,
            Self::Planned | Self::Storm => 0,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Planned => "planned",
            Self::Staged => "staged",
            Self::Storm => "storm",
        })
    }
}

/// The seeds one after the other, then all others at once.
async fn pull_all(
    fleet: &Arc<dyn Fleet>,
    seeds: usize,
    start: Instant,
    progress: &Progress,
) -> Result<Vec<NodeRun>, FleetError> {
    let mut done = Vec::new();
    for seed in 0..seeds {
        let run = pull(Arc::clone(fleet), seed, start).await;
        progress.node_done(seed, &run);
        if run.error.is_none() {
            fleet.findable(seed).await?;
        }
        done.push((seed, run));
    }
    let mut pulls = JoinSet::new();
    for node in seeds..fleet.names().len() {
        let fleet = Arc::clone(fleet);
        pulls.spawn(async move { (node, pull(fleet, node, start).await) });
    }
    while let Some(joined) = pulls.join_next().await {
        let (node, run) = joined.map_err(FleetError::setup("follow a pull to its end"))?;
        progress.node_done(node, &run);
        done.push((node, run));
    }
    done.sort_by_key(|(node, _)| *node);
    Ok(done.into_iter().map(|(_, run)| run).collect())
}

async fn pull(fleet: Arc<dyn Fleet>, node: usize, start: Instant) -> NodeRun {
    let started = start.elapsed();
    let pulled = fleet.pull(node).await;
    NodeRun {
        name: fleet.names()[node].clone(),
        started_seconds: seconds(started),
        seconds: seconds(start.elapsed() - started),
        error: pulled.err().map(|error| error.chain()),
    }
}

async fn sample(
    fleet: &dyn Fleet,
    samples: &mut Samples,
    progress: &Progress,
) -> std::convert::Infallible {
    let mut ticks = interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        let meter = fleet.meter();
        progress.update(&meter);
        samples.push(&meter);
    }
}
