//! The node's place in Kubernetes: what it is to hold, from its own NodeImageCache, and what it holds,
//! into that object's status.
//!
//! Nothing here is needed to serve a pull: while the API server is away, refuses, or has no such
//! object, the node goes on with what it knew last, an earlier run's knowledge included.

use std::{path::Path, sync::Arc};

use ::kube::{Api, Client};
use onepull_api::NodeImageCache;
use prometheus_client::registry::Registry;
use tokio::{
    sync::{OnceCell, watch},
    time::{Duration, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    desired::{Desired, DesiredState},
    logins::Lookup,
    warm::Warmer,
};

mod answering;
mod client;
mod complaint;
mod disk;
mod endpoints;
mod follow;
mod memory;
mod metrics;
mod peers;
mod preflight;
mod report;
mod reporter;
mod told;
mod trouble;

use answering::{Answering, Answers};
use complaint::Complaint;
pub(crate) use endpoints::{addresses, slices};
use follow::Follower;
use memory::Memory;
pub(crate) use memory::remembered_in;
use metrics::KubeMetrics;
pub(crate) use peers::PeerService;
use reporter::Reporter;
pub(crate) use reporter::Surroundings;
use told::Told;

/// How long a start waits to be told the node's zone. An API server answers within a second; without
/// it the node starts with no zone, and only its choice of peers is worse.
const ZONE: Duration = Duration::from_secs(5);

/// The way to the API server, once there is one. Shared by who watches, who reports and who pulls.
pub(crate) type Link = Arc<OnceCell<Client>>;

/// This node's NodeImageCache.
pub(crate) struct Kube {
    node: String,
    told: watch::Receiver<Arc<Told>>,
    state: watch::Receiver<Arc<DesiredState>>,
    link: Link,
    metrics: KubeMetrics,
    unreported: Arc<Complaint>,
}

// === impl Kube ===

impl Kube {
    /// Reads what an earlier run was told, and follows the object called `node` as long as `running`
    /// says.
    pub(crate) async fn follow(
        node: &str,
        data_dir: &Path,
        tasks: &TaskTracker,
        running: CancellationToken,
        registry: &mut Registry,
    ) -> Self {
        let (link, metrics) = (Link::default(), KubeMetrics::register(registry));
        let memory = Memory::new(data_dir, node);
        let follower = Follower::new(node, memory, Arc::clone(&link), metrics.clone()).await;
        let (told, state) = (follower.told(), follower.state());
        tasks.spawn(async move { running.run_until_cancelled(follower.run()).await });
        let unreported = Arc::default();
        Self { node: node.to_owned(), told, state, link, metrics, unreported }
    }

    /// The node's zone, if its object says one, now or soon.
    pub(crate) async fn zone(&self) -> Option<String> {
        let mut told = self.told.clone();
        let known = told.wait_for(|told| told.is_current || told.object.is_some());
        let told = timeout(ZONE, known).await.ok()?.ok()?;
        told.object.as_ref()?.spec.zone.clone()
    }

    /// The way to the API server.
    pub(crate) fn link(&self) -> Link {
        Arc::clone(&self.link)
    }

    /// Writes what `warmer` shows into the object's status, and what `lookup` answers to the controller, as
    /// long as `running` says.
    pub(crate) fn report(
        &self,
        warmer: Warmer,
        lookup: Option<Lookup>,
        surroundings: Surroundings,
        tasks: &TaskTracker,
        running: CancellationToken,
    ) {
        let answers = match lookup {
            Some(lookup) => self.answer(lookup, tasks, running.clone()),
            None => watch::Sender::default().subscribe(),
        };
        let preflight = watch::Sender::new(None);
        let found = preflight.subscribe();
        let (check, until) = (surroundings.check.clone(), running.clone());
        tasks.spawn(
            async move { until.run_until_cancelled(preflight::run(check, preflight)).await },
        );
        let reporter = Reporter {
            answers,
            found,
            node: self.node.clone(),
            told: self.told.clone(),
            link: Arc::clone(&self.link),
            warmer,
            surroundings,
            complaint: Arc::clone(&self.unreported),
            metrics: self.metrics.clone(),
        };
        tasks.spawn(async move { running.run_until_cancelled(reporter.run()).await });
    }

    fn answer(
        &self,
        lookup: Lookup,
        tasks: &TaskTracker,
        running: CancellationToken,
    ) -> watch::Receiver<Answers> {
        let answering = Answering::new(lookup, self.told.clone());
        let answers = answering.answers();
        tasks.spawn(async move { running.run_until_cancelled(answering.run()).await });
        answers
    }

    /// Why the status is not written, if that went wrong last.
    pub(crate) fn unreported(&self) -> Option<String> {
        self.unreported.sentence()
    }
}

impl Desired for Kube {
    fn watch(&self) -> watch::Receiver<Arc<DesiredState>> {
        self.state.clone()
    }
}

fn objects(client: Client) -> Api<NodeImageCache> {
    Api::all(client)
}

#[cfg(test)]
mod tests {
    use onepull_api::NodeImageCacheSpec;

    use super::*;

    #[tokio::test]
    async fn what_an_earlier_run_was_told_is_known_before_the_api_server_answers() {
        let folder = tempfile::tempdir().unwrap();
        let image = onepull_api::DesiredImage {
            refs: vec!["r.example/a:v1".into()],
            digest: onepull_mirror::Digest::sha256(b"a").to_string(),
            ..Default::default()
        };
        let zone = Some("zone-1".to_owned());
        let spec = NodeImageCacheSpec { zone, images: vec![image], ..Default::default() };
        Memory::new(folder.path(), "n").keep(Some(NodeImageCache::new("n", spec))).await;

        let running = CancellationToken::new();
        // Nobody is to be asked.
        running.cancel();
        let (tasks, mut registry) = (TaskTracker::new(), Registry::default());
        let kube = Kube::follow("n", folder.path(), &tasks, running, &mut registry).await;
        assert_eq!(kube.zone().await.as_deref(), Some("zone-1"));
        let state = kube.watch();
        assert_eq!(state.borrow().images[0].names.first().to_string(), "r.example/a:v1");
    }
}
