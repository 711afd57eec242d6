//! A load test from its configuration to its report.

use std::{path::Path, path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::{
    arm::Arm,
    fleet::{
        Fleet, FleetError,
        embedded::{EmbeddedConfig, EmbeddedFleet},
    },
    image::{Image, ImageError, generate},
    machine::Machine,
    model::Model,
    pattern::{Measured, planned},
    progress::Progress,
    report::{Report, Run, SCHEMA, Setup, Summary, seconds},
    transfers::Transfers,
    units::{ByteSize, LinkRate},
};

/// What to run. Made by the command line, which validates it.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The arms, in the order in which they run.
    pub arms: Vec<Arm>,
    /// How many nodes.
    pub nodes: u32,
    /// The image.
    pub image: ImageSource,
    /// A node's link, each way.
    pub nic: LinkRate,
    /// The registry's uplink.
    pub registry: LinkRate,
    /// How often all arms run.
    pub repeats: u32,
    /// Where images, stores and reports go.
    pub out: PathBuf,
}

/// Where the image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// Made for this run.
    Generated {
        /// Bytes of all its layers together.
        size: ByteSize,
        /// How many layers.
        layers: u32,
        /// What its noise is made from.
        seed: u64,
    },
    /// An OCI layout folder.
    Layout(PathBuf),
}

/// Why a load test ended without a report.
#[derive(Debug, Error)]
pub enum RunError {
    /// There is no image to pull.
    #[error("there is no image to pull")]
    Image(#[from] ImageError),
    /// The nodes could not be made, or did not work as a fleet.
    #[error("arm {arm}, repeat {repeat}, ended early")]
    Fleet {
        /// Which arm.
        arm: Arm,
        /// Which repeat.
        repeat: u32,
        /// Why.
        source: FleetError,
    },
    /// A folder or file could not be written.
    #[error("cannot write {path}")]
    Output {
        /// Which one.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A task of this program died.
    #[error("a task of the load test died")]
    Task(#[from] tokio::task::JoinError),
}

/// Runs every arm as often as asked, one run after the other, and reports.
///
/// `transfers` must be a layer of the program's tracing subscriber, `command` is the command line
/// for the report, `started` the time in RFC 3339.
///
/// # Errors
/// When something other than a pull failed; failed pulls are part of the report.
///
/// # Cancel safety
/// A cancelled run stops its nodes and removes their stores.
pub async fn run(
    config: &RunConfig,
    transfers: &Transfers,
    command: String,
    started: String,
) -> Result<Report, RunError> {
    let scratch = make_scratch(&config.out)?;
    let image = Arc::new(prepare(config.image.clone(), scratch.path()).await?);
    let mut runs = Vec::new();
    for repeat in 1..=config.repeats {
        for arm in &config.arms {
            let run = run_arm(config, *arm, repeat, &image, transfers, scratch.path()).await;
            let failed = |source| RunError::Fleet { arm: *arm, repeat, source };
            runs.push(run.map_err(failed)?);
        }
    }
    let layers = u32::try_from(image.layers.len()).unwrap_or(u32::MAX);
    let model = Model::new(image.bytes(), config.nodes, layers, config.nic, config.registry);
    Ok(Report {
        schema: SCHEMA.into(),
        command,
        started,
        machine: Machine::here(),
        setup: Setup {
            pattern: "planned".into(),
            store: "embedded".into(),
            nodes: config.nodes,
            image: config.image.to_string(),
            image_bytes: ByteSize::new(image.bytes()),
            layers,
            nic: config.nic,
            registry: config.registry,
        },
        summary: Summary::of(&runs, image.bytes(), &model),
        model,
        runs,
    })
}

async fn run_arm(
    config: &RunConfig,
    arm: Arm,
    repeat: u32,
    image: &Arc<Image>,
    transfers: &Transfers,
    scratch: &Path,
) -> Result<Run, FleetError> {
    let embedded =
        EmbeddedConfig { arm, nodes: config.nodes, nic: config.nic, registry: config.registry };
    let fleet =
        EmbeddedFleet::start(&embedded, Arc::clone(image), transfers.clone(), scratch).await?;
    let fleet: Arc<dyn Fleet> = Arc::new(fleet);
    let title = if config.repeats > 1 { format!("{arm} #{repeat}") } else { arm.to_string() };
    let progress = Progress::new(&title, &fleet.names(), image.bytes());
    let measured = planned(Arc::clone(&fleet), &progress).await;
    let meter = fleet.meter();
    let flows = fleet.finish().await?;
    let Measured { nodes, samples, total } = measured?;
    Ok(Run {
        arm,
        repeat,
        egress_bytes: meter.egress,
        egress_wire_bytes: meter.egress_wire,
        total_seconds: seconds(total),
        nodes,
        flows,
        samples,
    })
}

fn make_scratch(out: &Path) -> Result<tempfile::TempDir, RunError> {
    let failed = |source| RunError::Output { path: out.to_owned(), source };
    std::fs::create_dir_all(out).map_err(failed)?;
    tempfile::Builder::new().prefix("scratch-").tempdir_in(out).map_err(failed)
}

async fn prepare(source: ImageSource, scratch: &Path) -> Result<Image, RunError> {
    let root = scratch.join("image");
    let prepared = tokio::task::spawn_blocking(move || match source {
        ImageSource::Generated { size, layers, seed } => {
            generate(&root, size.bytes(), u64::from(layers), seed)
        }
        ImageSource::Layout(layout) => Image::open(&layout),
    });
    Ok(prepared.await??)
}

// === impl ImageSource ===

impl std::fmt::Display for ImageSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Generated { .. } => f.write_str("generated"),
            Self::Layout(folder) => write!(f, "{}", folder.display()),
        }
    }
}
