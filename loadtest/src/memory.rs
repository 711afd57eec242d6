//! How much memory an agent takes: idle, and while it serves four streams to peers.
//!
//! Two real nodes: one pulls an image of four layers, so that its containerd holds them; from the network
//! of the other, readers take a layer each from its agent, again and again: two as fast as they can, two
//! so slowly that what is on its way to them stays where it is. The agent is a process of its own, and its
//! memory is what the kernel says of it.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use futures::future::join_all;
use onepull_mirror::Digest;
use onepull_testbed::{Version, layout::Spec};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    arm::Arm,
    fleet::{
        Fleet, FleetError,
        containerd::{ContainerdConfig, ContainerdFleet},
    },
    image::{Image, ImageError},
    machine::Machine,
    run::{RunError, make_scratch},
    units::ByteSize,
};

mod reader;
pub(crate) mod status;
mod table;

use reader::Pace;
pub use table::render;

/// The name and version of the format.
pub const SCHEMA: &str = "onepull.dev/loadtest-memory/v1";

/// Streams served at once, a layer each: two to fast readers, two to slow ones.
const STREAMS: [Pace; 4] = [Pace::Fast, Pace::Slow, Pace::Fast, Pace::Slow];
/// The node that serves, and the one that reads.
const NODES: u32 = 2;
const SERVER: usize = 0;
const READER: usize = 1;
/// An agent that has started, or served, is at rest after this long.
const SETTLE: Duration = Duration::from_secs(3);
/// Short beside how long a stream lasts, long beside what a look costs.
const LOOK: Duration = Duration::from_millis(20);
/// How long readers may take beyond their time: one more piece each.
const LATE: Duration = Duration::from_secs(60);

/// What to measure.
#[derive(Clone, Debug)]
pub struct MemoryConfig {
    /// Bytes of each layer.
    pub layer_size: ByteSize,
    /// How long the streams are served.
    pub duration: Duration,
    /// The agent's program.
    pub agent: PathBuf,
    /// Where images and the report go.
    pub out: PathBuf,
}

/// What was measured: resident memory of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The command line that made it.
    pub command: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// Where it ran.
    pub machine: Machine,
    /// Bytes of each layer.
    pub layer_bytes: ByteSize,
    /// Before anything was pulled.
    pub idle: ByteSize,
    /// The most while it served.
    pub serving_peak: ByteSize,
    /// Some time after that.
    pub afterwards: ByteSize,
    /// What it served meanwhile, to each reader.
    pub streams: Vec<Stream>,
    /// How often it was looked at while it served.
    pub looks: usize,
}

/// What one reader got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// How it read.
    pub pace: Pace,
    /// Bytes that it got.
    pub bytes: ByteSize,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// The nodes could not be made, or the pull failed.
    #[error("the measurement ended early")]
    Fleet(#[from] FleetError),
    /// The image could not be made.
    #[error("there is no image to serve")]
    Image(#[from] ImageError),
    /// A folder or file could not be used.
    #[error("cannot use the output folder")]
    Output(#[from] RunError),
    /// The agent does not run (any more).
    #[error("the agent's memory cannot be read: does it still run?")]
    Gone,
    /// A reader did not get its bytes.
    #[error("a stream of the agent broke off")]
    Stream(#[from] std::io::Error),
    /// Readers did not end.
    #[error("the agent did not serve its streams in time")]
    Late,
}

/// Measures. `command` and `started` are for the report.
///
/// # Errors
/// When the nodes cannot be made, or a stream breaks off.
pub async fn measure(
    config: &MemoryConfig,
    command: String,
    started: String,
) -> Result<Memory, MemoryError> {
    let scratch = make_scratch(&config.out)?;
    let bytes = config.layer_size.bytes() * STREAMS.len() as u64;
    let spec = Spec::even(bytes, STREAMS.len() as u64, 1);
    let image = Image::generate(&scratch.path().join("image"), &spec)?;
    let image = Arc::new(image);
    let fleet_config = fleet_config(config);
    let fleet = ContainerdFleet::start(&fleet_config, Arc::clone(&image), scratch.path()).await?;
    let pid = fleet.agent_pid(SERVER).await.ok_or(MemoryError::Gone)?;
    sleep(SETTLE).await;
    let idle = resident(pid)?;
    fleet.pull(SERVER).await?;
    fleet.findable(SERVER).await?;
    let (streams, looks) = serve(config, &fleet, pid, &layers(&image)).await?;
    sleep(SETTLE).await;
    Ok(Memory {
        schema: SCHEMA.into(),
        command,
        started,
        machine: Machine::here(),
        layer_bytes: config.layer_size,
        idle,
        serving_peak: looks.iter().copied().max().ok_or(MemoryError::Gone)?,
        afterwards: resident(pid)?,
        streams,
        looks: looks.len(),
    })
}

fn fleet_config(config: &MemoryConfig) -> ContainerdConfig {
    ContainerdConfig {
        arm: Arm::Onepull,
        nodes: NODES,
        nic: None,
        registry: None,
        secure: false,
        version: Version::V2_2,
        agent: config.agent.clone(),
        spegel: None,
        late: 0,
        small_disk: None,
    }
}

/// Lets all readers read at once, and looks at the agent as long as they do.
async fn serve(
    config: &MemoryConfig,
    fleet: &ContainerdFleet,
    pid: u32,
    layers: &[Digest],
) -> Result<(Vec<Stream>, Vec<ByteSize>), MemoryError> {
    let (endpoint, until) = (fleet.peer_endpoint(SERVER), Instant::now() + config.duration);
    let readers = STREAMS.into_iter().zip(layers.iter().copied()).map(|(pace, layer)| async move {
        let read = fleet.inside(READER, move || reader::read(endpoint, layer, pace, until)).await?;
        Ok(Stream { pace, bytes: ByteSize::new(read?) })
    });
    let mut looks = Vec::new();
    let watch = async {
        loop {
            sleep(LOOK).await;
            match resident(pid) {
                Ok(bytes) => looks.push(bytes),
                Err(gone) => return gone,
            }
        }
    };
    let all = timeout(config.duration + LATE, join_all(readers));
    let streams: Result<Vec<_>, MemoryError> = tokio::select! {
        streams = all => streams.map_err(|_| MemoryError::Late)?.into_iter().collect(),
        gone = watch => return Err(gone),
    };
    Ok((streams?, looks))
}

/// The largest blobs; the others are manifest and configuration.
fn layers(image: &Image) -> Vec<Digest> {
    let mut blobs: Vec<_> = image.sizes.iter().collect();
    blobs.sort_by_key(|(_, size)| std::cmp::Reverse(**size));
    blobs.into_iter().take(STREAMS.len()).map(|(digest, _)| *digest).collect()
}

fn resident(pid: u32) -> Result<ByteSize, MemoryError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let bytes = status.as_deref().and_then(status::resident).ok_or(MemoryError::Gone)?;
    Ok(ByteSize::new(bytes))
}
