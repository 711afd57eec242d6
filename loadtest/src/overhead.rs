//! What the agent costs a pull that it cannot help: single misses, timed at the mirror of each node, and
//! the same pull with and without the agent, in pairs.
//!
//! One containerd pulls images that no peer holds from an unshaped registry, in turn with the agent
//! in `hosts.toml` and without. Each pull is of an image of its own, so neither finds anything that
//! the other left behind, and the order within a pair alternates, so that drift of the machine
//! cancels out. The difference of a pair, divided by the requests that the mirror answered in it,
//! is what one request costs.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use onepull_testbed::{Version, layout::Spec};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::sleep;

use crate::{
    arm::Arm,
    fleet::{
        FleetError,
        containerd::{ContainerdConfig, ContainerdFleet},
    },
    image::{Image, ImageError},
    machine::Machine,
    run::{RunError, make_scratch},
    units::ByteSize,
};

pub mod misses;
mod statistics;
mod table;

pub use misses::Misses;
pub use statistics::Estimate;
pub use table::render;

/// The name and version of the format.
pub const SCHEMA: &str = "onepull.dev/loadtest-overhead/v1";

/// The node that pulls.
const PULLER: usize = 0;
/// Pairs before the first that counts: connections, caches and page tables warm up.
const WARM_UP: u32 = 2;

/// What to measure.
#[derive(Clone, Debug)]
pub struct OverheadConfig {
    /// Nodes with an agent: one pulls, the others hold nothing.
    pub nodes: u32,
    /// How long the nodes rest before misses are timed.
    pub settle: Duration,
    /// Misses timed at the mirror of each node.
    pub misses: u32,
    /// How many pairs of pulls.
    pub pairs: u32,
    /// Bytes of each image's layers together.
    pub image_size: ByteSize,
    /// Layers of each image.
    pub layers: u32,
    /// Which containerd.
    pub version: Version,
    /// The agent's program.
    pub agent: PathBuf,
    /// Where images and the report go.
    pub out: PathBuf,
}

/// What was measured. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The command line that made it.
    pub command: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// Where it ran.
    pub machine: Machine,
    /// Bytes of each image's layers together.
    pub image_bytes: ByteSize,
    /// Layers of each image.
    pub layers: u32,
    /// How long a mirror takes to say that no node has a blob.
    pub misses: Misses,
    /// The added time of one request to the mirror.
    pub per_request: Estimate,
    /// The added time of one pull.
    pub per_pull: Estimate,
    /// Every pair, in order.
    pub pairs: Vec<Pair>,
}

/// Two pulls of the same kind of image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The pull with the agent.
    pub with_seconds: f64,
    /// The pull without it.
    pub without_seconds: f64,
    /// Requests that the mirror answered during the pull with the agent.
    pub requests: f64,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum OverheadError {
    /// The nodes could not be made, or a pull failed.
    #[error("the measurement ended early")]
    Fleet(#[from] FleetError),
    /// An image could not be made.
    #[error("there is no image to pull")]
    Image(#[from] ImageError),
    /// A folder or file could not be used.
    #[error("cannot use the output folder")]
    Output(#[from] RunError),
    /// `hosts.toml` could not be changed.
    #[error("cannot change hosts.toml")]
    Hosts(#[from] std::io::Error),
    /// containerd never asked the mirror, so nothing was measured.
    #[error("containerd did not ask the mirror in pair {0}: is the agent in its hosts.toml?")]
    NotAsked(u32),
    /// No miss was timed.
    #[error("at least one miss of each node has to be timed")]
    NoMisses,
    /// Fewer than two pairs.
    #[error("two pairs at least are needed to say something about their spread")]
    TooFew,
}

/// The fleet and the two states of its first node.
struct Bench<'a> {
    config: &'a OverheadConfig,
    fleet: ContainerdFleet,
    scratch: PathBuf,
    /// `hosts.toml` as the agent left it, and without a mirror.
    texts: [String; 2],
}

/// Runs the pairs. `command` and `started` are for the report.
///
/// # Errors
/// When a pull fails or the mirror is not asked.
pub async fn measure(
    config: &OverheadConfig,
    command: String,
    started: String,
) -> Result<Overhead, OverheadError> {
    let scratch = make_scratch(&config.out)?;
    let bench = Bench::start(config, scratch.path().to_owned()).await?;
    let misses = bench.misses().await?;
    let mut pairs = Vec::new();
    for number in 0..WARM_UP + config.pairs {
        let pair = bench.pair(number).await?;
        if number >= WARM_UP {
            pairs.push(pair);
        }
    }
    let estimate = |difference: fn(&Pair) -> f64| {
        let differences: Vec<_> = pairs.iter().map(difference).collect();
        Estimate::of(&differences).ok_or(OverheadError::TooFew)
    };
    Ok(Overhead {
        schema: SCHEMA.into(),
        command,
        started,
        machine: Machine::here(),
        image_bytes: config.image_size,
        layers: config.layers,
        misses,
        per_request: estimate(|pair| pair.added_seconds() / pair.requests)?,
        per_pull: estimate(Pair::added_seconds)?,
        pairs,
    })
}

// === impl Bench ===

impl<'a> Bench<'a> {
    async fn start(config: &'a OverheadConfig, scratch: PathBuf) -> Result<Self, OverheadError> {
        let fleet_config = ContainerdConfig {
            arm: Arm::Onepull,
            nodes: config.nodes,
            nic: None,
            registry: None,
            secure: false,
            version: config.version,
            agent: config.agent.clone(),
            spegel: None,
            late: 0,
            small_disk: None,
        };
        let image = Image::generate(&scratch.join("first"), &Spec::even(1, 1, 0))?;
        let fleet = ContainerdFleet::start(&fleet_config, Arc::new(image), &scratch).await?;
        let texts = [fs::read_to_string(fleet.hosts_toml(PULLER))?, fleet.plain_hosts_toml()];
        Ok(Self { config, fleet, scratch, texts })
    }

    async fn misses(&self) -> Result<Misses, OverheadError> {
        if !self.config.settle.is_zero() {
            tracing::info!("resting for {} s", self.config.settle.as_secs());
            sleep(self.config.settle).await;
        }
        let mut took = Vec::new();
        for node in 0..self.config.nodes as usize {
            took.extend(self.fleet.time_misses(node, self.config.misses as usize).await?);
        }
        let misses = Misses::of(self.config.nodes, took).ok_or(OverheadError::NoMisses)?;
        tracing::info!("a miss: p50 {:.2} ms, p99 {:.2} ms", misses.p50 * 1e3, misses.p99 * 1e3);
        Ok(misses)
    }

    async fn pair(&self, number: u32) -> Result<Pair, OverheadError> {
        let tags = [format!("with-{number}"), format!("without-{number}")];
        for (tag, seed) in tags.iter().zip(u64::from(number) * 2 + 1..) {
            let (bytes, layers) = (self.config.image_size.bytes(), self.config.layers);
            let image = Image::generate(
                &self.scratch.join(tag),
                &Spec::even(bytes, u64::from(layers), seed),
            )?;
            self.fleet.push(&image, tag).await?;
        }
        let before = self.fleet.mirror_requests(PULLER).await?;
        let mut took = [Duration::ZERO; 2];
        for turn in 0..2 {
            let arm = if number.is_multiple_of(2) { turn } else { 1 - turn };
            fs::write(self.fleet.hosts_toml(PULLER), &self.texts[arm])?;
            took[arm] = self.fleet.time_pull(PULLER, &tags[arm]).await?;
        }
        let requests = self.fleet.mirror_requests(PULLER).await? - before;
        if requests < 1.0 {
            return Err(OverheadError::NotAsked(number));
        }
        let [with_seconds, without_seconds] = took.map(|took| took.as_secs_f64());
        tracing::info!("pair {number}: {with_seconds:.3} s with, {without_seconds:.3} s without");
        Ok(Pair { with_seconds, without_seconds, requests })
    }
}

// === impl Pair ===

impl Pair {
    /// What the agent added; negative when that pull happened to be faster.
    pub fn added_seconds(&self) -> f64 {
        self.with_seconds - self.without_seconds
    }
}
