//! Writes the node's status: a thin effect around [`Report`].

use std::{path::PathBuf, sync::Arc};

use ::kube::api::{Patch, PatchParams};
use jiff::Timestamp;
use onepull_api::{GROUP, NodeImageCacheStatus, Preflight, VERSION};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep_until, timeout},
};

use super::{
    Link,
    answering::Answers,
    complaint::Complaint,
    disk::disk,
    metrics::KubeMetrics,
    objects,
    report::{Counted, Moment, Report, Verdict, assemble},
    told::Told,
    trouble,
};
use crate::{check::CheckConfig, warm::Warmer};

/// By this name the API server knows which fields are the agent's.
const MANAGER: &str = "onepull-agent";

/// An API server answers within milliseconds; one that does not is asked again.
const DEADLINE: Duration = Duration::from_secs(10);

/// Until it is asked again for a disk that is not known: containerd is starting.
const NO_DISK: Duration = Duration::from_secs(1);

/// Between two attempts that fail. The watch finds out by itself when the API server is back.
const AGAIN: Duration = Duration::from_secs(10);

/// What a status says beside the images.
pub(crate) struct Surroundings {
    /// The folder that holds images, once it is known.
    pub(crate) images: Box<dyn Fn() -> Option<PathBuf> + Send + Sync>,
    /// What is wrong with the agent as a whole.
    pub(crate) problem: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// What the preflight looks at.
    pub(crate) check: CheckConfig,
}

/// Reports what a warmer does.
pub(super) struct Reporter {
    pub(super) node: String,
    pub(super) told: watch::Receiver<Arc<Told>>,
    pub(super) link: Link,
    pub(super) warmer: Warmer,
    pub(super) answers: watch::Receiver<Answers>,
    pub(super) found: watch::Receiver<Option<Preflight>>,
    pub(super) surroundings: Surroundings,
    pub(super) complaint: Arc<Complaint>,
    pub(super) metrics: KubeMetrics,
}

/// What was written into which object.
#[derive(Default)]
struct Written {
    uid: Option<String>,
    report: Report,
    counted: Counted,
    /// After a failure, when to try again.
    rests_until: Option<Instant>,
}

// === impl Reporter ===

impl Reporter {
    /// Ends when nobody tells what to hold any more.
    pub(super) async fn run(mut self) {
        let mut changes = self.warmer.changes();
        let mut written = Written::default();
        loop {
            changes.mark_unchanged();
            let told = Arc::clone(&self.told.borrow_and_update());
            let look = self.look(&mut written, &told).await;
            tokio::select! {
                changed = self.told.changed() => if changed.is_err() { return },
                _ = changes.changed() => {}
                () = changed(&mut self.answers) => {}
                () = changed(&mut self.found) => {}
                () = until(look) => {}
            }
        }
    }

    /// Writes what is due; returns when to look again.
    async fn look(&self, written: &mut Written, told: &Told) -> Option<Instant> {
        if !told.is_current || told.object.is_none() {
            // There is nothing to write to, or nobody to ask.
            return None;
        }
        if let Some(until) = written.rests_until.filter(|until| Instant::now() < *until) {
            return Some(until);
        }
        written.adopt(told);
        let (node, problem) = (self.warmer.status(), (self.surroundings.problem)());
        let at = Moment { now: Instant::now(), wall: this_second() };
        let current = assemble(told, &node, &written.counted, problem, at.wall);
        let Answers { logins, answers } = self.answers.borrow().clone();
        // What an earlier run found counts until this one has looked.
        let preflight = self.found.borrow().clone().or_else(|| written.report.preflight());
        let disk = self.disk().await;
        let current = NodeImageCacheStatus { disk, logins, answers, preflight, ..current };
        match written.report.decide(&current, at) {
            Verdict { write: None, look } if current.disk.is_some() => look,
            Verdict { write: None, look } => look.into_iter().chain([at.now + NO_DISK]).min(),
            Verdict { write: Some(status), .. } => self.write(written, status).await,
        }
    }

    async fn write(&self, written: &mut Written, status: NodeImageCacheStatus) -> Option<Instant> {
        let is_written = self.patch(&status).await;
        let now = Instant::now();
        written.rests_until = (!is_written).then_some(now + AGAIN);
        if is_written {
            written.report.wrote(status, now);
        }
        Some(written.rests_until.unwrap_or(now))
    }

    async fn disk(&self) -> Option<onepull_api::Disk> {
        disk((self.surroundings.images)()?).await
    }

    /// Whether the API server took it.
    async fn patch(&self, status: &NodeImageCacheStatus) -> bool {
        let Some(client) = self.link.get() else { return false };
        let api_version = format!("{GROUP}/{VERSION}");
        let object =
            json!({ "apiVersion": api_version, "kind": "NodeImageCache", "status": status });
        let (params, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(object));
        let objects = objects(client.clone());
        match timeout(DEADLINE, objects.patch_status(&self.node, &params, &patch)).await {
            Ok(Ok(_)) => {
                self.metrics.writes.inc();
                self.complaint.settle("the node's status is written again");
                true
            }
            Ok(Err(error)) => self.fails(trouble::of_write(&error)),
            Err(_) => self.fails(Some("the API server did not take a status within 10 s".into())),
        }
    }

    fn fails(&self, problem: Option<String>) -> bool {
        self.metrics.errors.inc();
        if let Some(problem) = problem {
            self.complaint.raise(format!("the node's status is not written: {problem}"));
        }
        false
    }
}

// === impl Written ===

impl Written {
    /// An object that is new to this run comes with what an earlier run wrote into it; one that took
    /// the place of another has nothing.
    fn adopt(&mut self, told: &Told) {
        let Some(object) = &told.object else { return };
        if self.uid.is_none() || self.uid != object.metadata.uid {
            self.uid = object.metadata.uid.clone();
            self.report = Report::found(object.status.clone());
            self.counted = Counted::of_object(Some(object));
        } else if object.status.is_none() {
            self.report = Report::default();
        }
        self.counted.keep(Some(object));
    }
}

/// As Kubernetes writes times.
fn this_second() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Pending where nobody answers any more.
async fn changed<T>(answers: &mut watch::Receiver<T>) {
    if answers.changed().await.is_err() {
        std::future::pending().await
    }
}

async fn until(look: Option<Instant>) {
    match look {
        Some(look) => sleep_until(look).await,
        None => std::future::pending().await,
    }
}
