//! What a controller costs in a large cluster: time to plan, memory, writes, and how soon all nodes are warm.
//!
//! API server, etcd, registry and controller are real processes; nodes are objects as large as real ones,
//! and their agents tasks that report as real agents do. The order of things: the cluster is
//! made; the controller starts and gives every node its object; then the caches are made, and the clock runs
//! until all are Ready; then the cluster rests; then another controller takes over, which has to list
//! everything as it is at its largest.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use kube::Client;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::{machine::Machine, run::make_scratch, units::ByteSize};

mod agents;
mod caches;
mod cluster;
mod counted;
mod nodes;
mod process;
mod table;

use agents::Agents;
pub use agents::Telling;
use cluster::Cluster;
use counted::{Counted, Lists};
use process::Controller;
pub use table::render;

/// The name and version of the format.
pub const SCHEMA: &str = "onepull.dev/loadtest-control-plane/v4";

/// What the project holds itself to, at up to 5,000 nodes and 20 images: a plan, the controller's memory,
/// writes of a node's spec in one rollout; and for a thousand nodes the time until they are warm.
pub(crate) const PLAN_MS: f64 = 100.0;
pub(crate) const MEMORY: u64 = 200 << 20;
pub(crate) const SPEC_WRITES: usize = 2;
pub(crate) const CONVERGING: u32 = 1_000;
pub(crate) const CONVERGED: f64 = 600.0;

/// For the first plans of who takes over.
const AFTER_TAKEOVER: Duration = Duration::from_secs(10);

/// Between two looks at how far things are.
const LOOK: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Clone, Debug)]
pub struct ControlPlaneConfig {
    /// How many nodes.
    pub nodes: u32,
    /// How many images each is to hold.
    pub images: u32,
    /// How long a node takes for one image.
    pub image_time: Duration,
    /// How long the cluster is watched at rest.
    pub rest: Duration,
    /// When the measurement is given up.
    pub limit: Duration,
    /// The controller's program.
    pub controller: PathBuf,
    /// Where the report goes.
    pub out: PathBuf,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlPlane {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The command line that made it.
    pub command: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// Where it ran.
    pub machine: Machine,
    /// How many nodes.
    pub nodes: u32,
    /// How many images each held in the end.
    pub images: u32,
    /// Bytes of one Node as JSON.
    pub node_bytes: ByteSize,
    /// Bytes of one NodeImageCache as JSON, at the end.
    pub node_image_cache_bytes: ByteSize,
    /// From the first cache to the last that is Ready.
    pub converged_seconds: f64,
    /// From the controller's start to the last node's object.
    pub joined_seconds: f64,
    /// The rollout.
    pub rollout: Phase,
    /// All at rest.
    pub rest: Phase,
    /// How long that was.
    pub rest_seconds: f64,
    /// Times that a node was told something, by the generations of its spec.
    pub spec_writes: SpecWrites,
    /// Status writes of all agents.
    pub status_writes: u64,
    /// The most that one agent wrote for one image.
    pub most_status_writes_per_image: f64,
    /// The most memory of the controller that did all that.
    pub peak_memory: ByteSize,
    /// The most memory of one that took over at the end.
    pub takeover_memory: ByteSize,
    /// From its start to its first plan.
    pub takeover_seconds: f64,
}

/// What happened in one phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Plans that were made.
    pub plans: u64,
    /// CPU time of their thread.
    pub plan_cpu: PlanTimes,
    /// What they took by the clock, with what others took of the machine meanwhile.
    pub plan_wall: PlanTimes,
    /// The mean time of a look at all objects with its writes, in seconds.
    pub reconcile_mean_seconds: f64,
    /// CPU seconds of the controller.
    pub cpu_seconds: f64,
    /// Writes of specs that the API server took.
    pub spec_writes: u64,
    /// Seeds that were replaced.
    pub seed_moves: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Lists, as the controller counts them.
    pub lists: u64,
    /// Lists of nodes and NodeImageCaches, as the API server counts them, from anybody.
    pub lists_at_api_server: u64,
}

/// How long plans took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanTimes {
    /// The mean, in milliseconds.
    pub mean_ms: f64,
    /// All took at most this, in milliseconds: the upper bound of a bucket. Without it one took more than a
    /// second.
    pub most_ms: Option<f64>,
    /// The share that took 100 ms at most.
    pub within_limit: f64,
}

/// How often nodes were told something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpecWrites {
    /// The node that was told most often, of all rollouts together.
    pub most: u64,
    /// On average.
    pub mean: f64,
    /// What the node that was told most often of one rollout was told of it.
    pub most_of_a_rollout: Vec<Telling>,
}

/// Measures. `command` and `started` are for the report.
///
/// # Errors
/// When a server cannot be started, or the nodes are not warm in time.
pub async fn measure(
    config: &ControlPlaneConfig,
    command: String,
    started: String,
) -> Result<ControlPlane> {
    let scratch = make_scratch(&config.out)?;
    let cluster = Cluster::start(config, scratch.path()).await?;
    info!(nodes = config.nodes, "making nodes");
    nodes::make(&cluster.client, config.nodes).await?;
    let node_bytes = nodes::size(&cluster.client).await?;
    let agents = Agents::start(&cluster.client, config.nodes, config.image_time);
    let _heartbeats = nodes::heartbeats(cluster.client.clone(), config.nodes);

    let began = Instant::now();
    let controller = Controller::start(config, &cluster, "first").await?;
    join(config, &agents).await?;
    let joined_seconds = began.elapsed().as_secs_f64();
    let told_before = cluster.generations().await?;
    let (rollout, converged_seconds) = roll_out(config, &cluster, &controller, &agents).await?;
    let told_after = cluster.generations().await?;
    let (rest, rest_seconds) = rest(config, &cluster, &controller).await?;
    let peak_memory = controller.peak_memory()?;
    drop(controller);
    let (takeover_memory, takeover_seconds) = take_over(config, &cluster).await?;
    Ok(ControlPlane {
        schema: SCHEMA.into(),
        command,
        started,
        machine: Machine::here(),
        nodes: config.nodes,
        images: config.images,
        node_bytes,
        node_image_cache_bytes: cluster.node_image_cache_bytes().await?,
        converged_seconds,
        joined_seconds,
        rollout,
        rest,
        rest_seconds,
        spec_writes: SpecWrites::between(
            &told_before,
            &told_after,
            agents.most_told_of_a_rollout(),
        ),
        status_writes: agents.written(),
        most_status_writes_per_image: agents.most_written_per_image(config.images),
        peak_memory,
        takeover_memory,
        takeover_seconds,
    })
}

/// Waits until every node has its object, and its agent has reported there.
async fn join(config: &ControlPlaneConfig, agents: &Agents) -> Result<()> {
    until("every node has its object", config.limit, async || {
        let joined = agents.joined();
        info!(joined, "nodes report");
        Ok(joined == config.nodes as usize)
    })
    .await
}

/// From the first cache to the last that is Ready, and how long that took.
async fn roll_out(
    config: &ControlPlaneConfig,
    cluster: &Cluster,
    controller: &Controller,
    agents: &Agents,
) -> Result<(Phase, f64)> {
    info!("making caches");
    let (before, began) = (Counted::of(controller, cluster).await?, Instant::now());
    caches::make(cluster).await?;
    until("all caches are Ready", config.limit, async || {
        let (ready, line) = caches::ready(cluster).await?;
        info!(written = agents.written(), "{line}");
        Ok(ready)
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    Ok((Counted::of(controller, cluster).await?.since(&before), seconds))
}

async fn rest(
    config: &ControlPlaneConfig,
    cluster: &Cluster,
    controller: &Controller,
) -> Result<(Phase, f64)> {
    info!("resting");
    let (before, began) = (Counted::of(controller, cluster).await?, Instant::now());
    sleep(config.rest).await;
    let phase = Counted::of(controller, cluster).await?.since(&before);
    Ok((phase, began.elapsed().as_secs_f64()))
}

/// The most memory of a controller that finds all as it is, and how long it takes to its first plan.
async fn take_over(config: &ControlPlaneConfig, cluster: &Cluster) -> Result<(ByteSize, f64)> {
    info!("another controller takes over");
    let began = Instant::now();
    let successor = Controller::start(config, cluster, "second").await?;
    until("it has planned", config.limit, async || {
        Ok(Counted::of(&successor, cluster).await?.plans() > 0)
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    sleep(config.rest.min(AFTER_TAKEOVER)).await;
    Ok((successor.peak_memory()?, seconds))
}

async fn until(
    what: &str,
    limit: Duration,
    mut reached: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + limit;
    while !reached().await.with_context(|| format!("waiting until {what}"))? {
        anyhow::ensure!(Instant::now() < end, "not in {} s: {what}", limit.as_secs());
        sleep(LOOK).await;
    }
    Ok(())
}

async fn client(kubeconfig: &std::path::Path) -> Result<Client> {
    let read = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await?;
    Ok(Client::try_from(config)?)
}

// === impl ControlPlane ===

impl ControlPlane {
    /// What is beyond its limit, in words.
    pub fn misses(&self) -> Vec<String> {
        let slow = self.nodes <= CONVERGING && self.converged_seconds > CONVERGED;
        let checks = [
            (self.rollout.plan_cpu.mean_ms > PLAN_MS, "a plan takes too much CPU time"),
            (self.rollout.plan_wall.mean_ms > PLAN_MS, "a plan takes too long"),
            (self.peak_memory.bytes() > MEMORY, "the controller takes too much memory"),
            (self.takeover_memory.bytes() > MEMORY, "a takeover takes too much memory"),
            (self.spec_writes.most_of_a_rollout.len() > SPEC_WRITES, "a node was told too often"),
            (self.rest.lists > 0, "objects are listed again at rest"),
            (slow, "the nodes are warm too late"),
        ];
        checks.into_iter().filter(|(missed, _)| *missed).map(|(_, what)| what.into()).collect()
    }
}

// === impl SpecWrites ===

impl SpecWrites {
    fn between(before: &Lists, after: &Lists, most_of_a_rollout: Vec<Telling>) -> Self {
        let writes = after.iter().map(|(node, now)| now - before.get(node).copied().unwrap_or(0));
        let writes: Vec<u64> = writes.collect();
        let (most, sum) = (writes.iter().copied().max(), writes.iter().sum::<u64>());
        #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
        let mean = sum as f64 / writes.len().max(1) as f64;
        Self { most: most.unwrap_or(0), mean, most_of_a_rollout }
    }
}
