//! Follows the node's own NodeImageCache.

use std::{pin::pin, sync::Arc};

use ::kube::runtime::watcher::{self, watch_object};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use onepull_api::NodeImageCache;
use tokio::{
    sync::watch,
    time::{Duration, sleep},
};
use tracing::info;

use super::{
    Link, client::client, complaint::Complaint, memory::Memory, metrics::KubeMetrics, objects,
    told::Told, trouble,
};
use crate::desired::DesiredState;

/// Between the first two questions that fail. A restarted API server is back within seconds.
const SOON: Duration = Duration::from_secs(1);

/// Between two questions in a long outage. With jitter, 5,000 nodes that wait for one API server come
/// back as some 200 a second.
const LATE: Duration = Duration::from_secs(30);

/// Keeps what the node was told up to date.
pub(super) struct Follower {
    node: String,
    memory: Memory,
    link: Link,
    told: watch::Sender<Arc<Told>>,
    state: watch::Sender<Arc<DesiredState>>,
    complaint: Complaint,
    metrics: KubeMetrics,
}

// === impl Follower ===

impl Follower {
    /// Knows what an earlier run knew.
    pub(super) async fn new(node: &str, memory: Memory, link: Link, metrics: KubeMetrics) -> Self {
        let object = memory.recall().await;
        if object.is_some() {
            info!("until the API server answers, the node holds what it was told before");
        }
        let told = Told::new(object, false);
        let state = watch::Sender::new(Arc::new(told.state()));
        let told = watch::Sender::new(Arc::new(told));
        let (node, complaint) = (node.to_owned(), Complaint::default());
        Self { node, memory, link, told, state, complaint, metrics }
    }

    /// What the node was told last.
    pub(super) fn told(&self) -> watch::Receiver<Arc<Told>> {
        self.told.subscribe()
    }

    /// The same as a desired state, with what is wrong.
    pub(super) fn state(&self) -> watch::Receiver<Arc<DesiredState>> {
        self.state.subscribe()
    }

    /// Never ends. Each turn begins with a list, so that its success tells that trouble is over.
    pub(super) async fn run(self) {
        let patience =
            ExponentialBuilder::new().with_min_delay(SOON).with_max_delay(LATE).with_jitter();
        let patience = patience.without_max_times();
        let mut waits = patience.build();
        loop {
            if self.link_up().await && self.watch().await {
                waits = patience.build();
            }
            sleep(waits.next().unwrap_or(LATE)).await;
        }
    }

    /// Whether there is a way to the API server.
    async fn link_up(&self) -> bool {
        match self.link.get_or_try_init(client).await {
            Ok(_) => true,
            Err(problem) => {
                self.fails(problem);
                false
            }
        }
    }

    /// Watches until something fails; returns whether anything was heard.
    async fn watch(&self) -> bool {
        let Some(client) = self.link.get().cloned() else { return false };
        let mut events = pin!(watch_object(objects(client), &self.node));
        let mut heard = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(object) => self.hears(object).await,
                Err(error) => {
                    self.ends(&error);
                    return heard;
                }
            }
            heard = true;
        }
        heard
    }

    async fn hears(&self, object: Option<NodeImageCache>) {
        let object = object.map(slim);
        let before = Arc::clone(&self.told.borrow());
        if !before.is_current || !is_same(before.object.as_ref(), object.as_ref()) {
            self.memory.keep(object.clone()).await;
        }
        let told = Told::new(object, true);
        let state = told.state();
        self.told.send_replace(Arc::new(told));
        self.complaint.settle("the API server answers again");
        self.publish(state);
    }

    fn ends(&self, error: &watcher::Error) {
        if let Some(problem) = trouble::of_watch(error) {
            self.fails(problem);
        }
    }

    fn fails(&self, problem: String) {
        self.metrics.errors.inc();
        let images = DesiredState::clone(&self.state.borrow());
        self.publish(DesiredState { problem: Some(problem.clone()), ..images });
        self.complaint.raise(problem);
    }

    fn publish(&self, now: DesiredState) {
        self.state.send_if_modified(|state| {
            let is_news = **state != now;
            if is_news {
                *state = Arc::new(now);
            }
            is_news
        });
    }
}

/// Without what says who wrote which field, which is more than the rest.
fn slim(mut object: NodeImageCache) -> NodeImageCache {
    object.metadata.managed_fields = None;
    object
}

/// Versions change with every write, also with those that change nothing.
fn is_same(one: Option<&NodeImageCache>, other: Option<&NodeImageCache>) -> bool {
    let part = |object: &NodeImageCache| (object.metadata.uid.clone(), object.metadata.generation);
    one.map(|it| (part(it), &it.status)) == other.map(|it| (part(it), &it.status))
}
