//! A load test from its configuration to its report.

use std::{path::Path, path::PathBuf, sync::Arc};

use onepull_testbed::{Version, layout::Spec};
use thiserror::Error;

use crate::{
    arm::Arm,
    faults::{Fault, FaultRun, storm::Storms},
    fleet::{
        Account, Fleet, FleetError,
        containerd::{ContainerdConfig, ContainerdFleet, spegel_version},
        embedded::{EmbeddedConfig, EmbeddedFleet},
    },
    image::{Image, ImageError},
    late::{Joins, Late, LateRun},
    machine::Machine,
    model::Model,
    pattern::{Measured, Pattern},
    progress::Progress,
    report::{NodeRun, Report, Run, SCHEMA, Setup, Summary, seconds},
    transfers::Transfers,
    units::{ByteSize, LinkRate},
};

/// What to run. Made by the command line, which validates it.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The arms, in the order in which they run.
    pub arms: Vec<Arm>,
    /// Who pulls when.
    pub pattern: Pattern,
    /// What nodes are made of.
    pub store: StoreKind,
    /// How many nodes.
    pub nodes: u32,
    /// The image.
    pub image: ImageSource,
    /// A node's link, each way.
    pub nic: LinkRate,
    /// The registry's uplink.
    pub registry: LinkRate,
    /// Whether agents have a cluster key, and peers speak TLS.
    pub secure: bool,
    /// Spegel's program, for the arm of that name.
    pub spegel: Option<PathBuf>,
    /// What runs after the arms.
    pub trials: Trials,
    /// How often all arms run.
    pub repeats: u32,
    /// Where images, stores and reports go.
    pub out: PathBuf,
}

/// Storms in which something happens, each beside the arms' own runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trials {
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Who comes late.
    pub late: Vec<Late>,
}

/// What nodes are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A puller and an agent in this process, for each node.
    Embedded,
    /// A containerd and an agent process in a network namespace, for each node.
    Containerd {
        /// Which containerd.
        version: Version,
        /// The agent's program.
        agent: PathBuf,
    },
}

/// Where the image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// Made for this run.
    Generated(Spec),
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
    /// A program to compare with does not work.
    #[error("there is nothing to compare with")]
    Spegel(#[source] FleetError),
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

/// What all runs of a load test share.
struct Bench<'a> {
    config: &'a RunConfig,
    image: Arc<Image>,
    transfers: &'a Transfers,
    scratch: &'a Path,
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
    let bench = Bench { config, image: Arc::clone(&image), transfers, scratch: scratch.path() };
    let setup = config.setup(&image)?;
    let mut runs = Vec::new();
    for repeat in 1..=config.repeats {
        for arm in &config.arms {
            let failed = |source| RunError::Fleet { arm: *arm, repeat, source };
            runs.push(bench.run(*arm, repeat).await.map_err(failed)?);
        }
    }
    let model = Model::new(image.bytes(), config.nodes, setup.layers, config.nic, config.registry);
    let summary = Summary::of(&runs, image.bytes(), &model, config.pattern);
    let (faults, late) = (bench.faults(&summary).await, bench.late(&summary).await);
    Ok(Report {
        schema: SCHEMA.into(),
        command,
        started,
        machine: Machine::here(),
        setup,
        summary,
        model,
        runs,
        faults,
        late,
    })
}

/// A folder for what a run leaves behind while it runs; removed when dropped.
pub(crate) fn make_scratch(out: &Path) -> Result<tempfile::TempDir, RunError> {
    let failed = |source| RunError::Output { path: out.to_owned(), source };
    std::fs::create_dir_all(out).map_err(failed)?;
    let out = out.canonicalize().map_err(failed)?;
    tempfile::Builder::new().prefix("scratch-").tempdir_in(out).map_err(failed)
}

/// Makes or opens the image, off the runtime's threads.
pub(crate) async fn prepare(source: ImageSource, scratch: &Path) -> Result<Image, RunError> {
    let root = scratch.join("image");
    let prepared = tokio::task::spawn_blocking(move || match source {
        ImageSource::Generated(spec) => Image::generate(&root, &spec),
        ImageSource::Layout(layout) => Image::open(&layout),
    });
    Ok(prepared.await??)
}

// === impl Bench ===

impl Bench<'_> {
    async fn run(&self, arm: Arm, repeat: u32) -> Result<Run, FleetError> {
        let fleet = self.fleet(arm).await?;
        let title = match self.config.repeats {
            1 => arm.to_string(),
            _ => format!("{arm} #{repeat}"),
        };
        let progress = Progress::new(&title, &fleet.names(), self.image.bytes());
        let measured = self.config.pattern.run(Arc::clone(&fleet), &progress).await;
        let meter = fleet.meter();
        let Account { flows, lacking } = fleet.finish().await?;
        let Measured { mut nodes, samples, moves, total } = measured?;
        blame(&mut nodes, &lacking);
        Ok(Run {
            arm,
            repeat,
            egress_bytes: meter.egress,
            egress_wire_bytes: meter.egress_wire,
            total_seconds: seconds(total),
            nodes,
            moves,
            flows,
            samples,
        })
    }

    async fn fleet(&self, arm: Arm) -> Result<Arc<dyn Fleet>, FleetError> {
        let RunConfig { nodes, nic, registry, secure, .. } = *self.config;
        let image = Arc::clone(&self.image);
        match &self.config.store {
            StoreKind::Embedded => {
                let config = EmbeddedConfig { arm, nodes, nic, registry, secure };
                let transfers = self.transfers.clone();
                let fleet = EmbeddedFleet::start(&config, image, transfers, self.scratch).await?;
                Ok(Arc::new(fleet))
            }
            StoreKind::Containerd { version, agent } => {
                let config = self.config.containerd(arm, *version, agent);
                Ok(Arc::new(ContainerdFleet::start(&config, image, self.scratch).await?))
            }
        }
    }
}

impl Bench<'_> {
    /// Every fault in a storm of its own; one that cannot be had does not keep the others from it.
    async fn faults(&self, summary: &[Summary]) -> Vec<FaultRun> {
        let StoreKind::Containerd { version, agent } = &self.config.store else { return vec![] };
        let storms = Storms {
            fleet: self.config.containerd(Arm::Onepull, *version, agent),
            image: Arc::clone(&self.image),
            scratch: self.scratch,
            logs: self.config.out.join("logs"),
            calm_seconds: last_seconds(summary, Arm::Onepull),
        };
        let mut runs = Vec::new();
        for fault in &self.config.trials.faults {
            let run = storms.run(*fault).await;
            runs.push(run.unwrap_or_else(|error| FaultRun::unmeasured(*fault, &error)));
        }
        runs
    }

    async fn late(&self, summary: &[Summary]) -> Vec<LateRun> {
        let StoreKind::Containerd { version, agent } = &self.config.store else { return vec![] };
        let joins = Joins {
            fleet: self.config.containerd(Arm::Onepull, *version, agent),
            image: Arc::clone(&self.image),
            scratch: self.scratch,
            logs: self.config.out.join("logs"),
            ideal_seconds: last_seconds(summary, Arm::Ideal),
        };
        let mut runs = Vec::new();
        for late in &self.config.trials.late {
            let run = joins.run(*late).await;
            runs.push(run.unwrap_or_else(|error| LateRun::unmeasured(*late, &error)));
        }
        runs
    }
}

fn last_seconds(summary: &[Summary], arm: Arm) -> Option<f64> {
    summary.iter().find(|row| row.arm == arm)?.last_seconds
}

/// A pull that reported success and left something out has failed all the same.
fn blame(nodes: &mut [NodeRun], lacking: &[Option<String>]) {
    for (node, lacking) in nodes.iter_mut().zip(lacking) {
        if let (None, Some(lacking)) = (&node.error, lacking) {
            node.error = Some(format!("the pull reported success, but {lacking}"));
        }
    }
}

// === impl RunConfig ===

impl RunConfig {
    /// A fleet of real containerds for one arm.
    fn containerd(&self, arm: Arm, version: Version, agent: &Path) -> ContainerdConfig {
        ContainerdConfig {
            arm,
            nodes: self.nodes,
            nic: Some(self.nic),
            registry: Some(self.registry),
            secure: self.secure,
            version,
            agent: agent.to_owned(),
            spegel: self.spegel.clone(),
            late: 0,
            small_disk: None,
        }
    }

    fn setup(&self, image: &Image) -> Result<Setup, RunError> {
        let spegel = self.spegel.as_ref().filter(|_| self.arms.contains(&Arm::Spegel));
        let spegel = spegel.map(|program| spegel_version(program)).transpose();
        Ok(Setup {
            pattern: self.pattern,
            store: self.store.to_string(),
            nodes: self.nodes,
            image: self.image.to_string(),
            image_bytes: ByteSize::new(image.bytes()),
            layers: u32::try_from(image.layers).unwrap_or(u32::MAX),
            nic: self.nic,
            registry: self.registry,
            spegel: spegel.map_err(RunError::Spegel)?,
        })
    }
}

// === impl StoreKind ===

impl std::fmt::Display for StoreKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Containerd { version: Version::V1_6, .. } => "containerd 1.6",
            Self::Containerd { version: Version::V2_2, .. } => "containerd 2.2",
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_that_left_something_out_has_failed_and_a_failed_one_keeps_its_reason() {
        let node = |error: Option<&str>| NodeRun {
            name: "node-1".into(),
            started_seconds: 0.0,
            seconds: 1.0,
            error: error.map(str::to_owned),
        };
        let mut nodes = [node(None), node(None), node(Some("refused"))];
        blame(&mut nodes, &[None, Some("a blob is gone".into()), Some("all is gone".into())]);
        let errors = nodes.map(|node| node.error);
        let silent = "the pull reported success, but a blob is gone".to_owned();
        assert_eq!(errors, [None, Some(silent), Some("refused".into())]);
    }
}
