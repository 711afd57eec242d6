//! Who pulls when.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    fleet::{Fleet, FleetError},
    progress::Progress,
    report::{NodeRun, Samples, seconds},
};

/// How often the counters are read: fine enough to see a stall of a few hundred milliseconds.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What a pattern measured.
#[derive(Debug)]
pub struct Measured {
    /// One entry a node, in the order of their indices.
    pub nodes: Vec<NodeRun>,
    /// The counters over time.
    pub samples: Samples,
    /// From the start of the first pull to the end of the last.
    pub total: Duration,
}

/// Planned: one node first; once what it holds can be found, all the others at once.
///
/// A failed pull is recorded in its node and does not keep the others from pulling.
///
/// # Errors
/// When the first node pulled but cannot be found afterwards.
pub async fn planned(fleet: Arc<dyn Fleet>, progress: &Progress) -> Result<Measured, FleetError> {
    let start = Instant::now();
    let mut samples = Samples::new(SAMPLE_EVERY, fleet.names().len());
    let nodes = tokio::select! {
        nodes = pull_planned(&fleet, start, progress) => nodes?,
        never = sample(&*fleet, &mut samples, progress) => match never {},
    };
    let total = start.elapsed();
    samples.push(&fleet.meter());
    Ok(Measured { nodes, samples, total })
}

async fn pull_planned(
    fleet: &Arc<dyn Fleet>,
    start: Instant,
    progress: &Progress,
) -> Result<Vec<NodeRun>, FleetError> {
    let first = pull(Arc::clone(fleet), 0, start).await;
    progress.node_done(0, &first);
    if first.error.is_none() {
        fleet.findable(0).await?;
    }
    let mut pulls = JoinSet::new();
    for node in 1..fleet.names().len() {
        let fleet = Arc::clone(fleet);
        pulls.spawn(async move { (node, pull(fleet, node, start).await) });
    }
    let mut done = vec![(0, first)];
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
