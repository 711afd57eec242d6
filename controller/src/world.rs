//! The objects that a plan is made from, as the API server had them last.
//!
//! They are listed once and watched from then on; what plans do not need is dropped on the way in, as
//! 5,000 real nodes would take hundreds of megabytes. What this controller wrote itself counts at
//! once, before the watch brings it back: a plan that does not know what the one before it told a node
//! would tell another node the same.

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store, store::Writer},
        watcher,
    },
};
use onepull_api::{ImageCache, NodeImageCache};
use prometheus_client::metrics::counter::Counter;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::metrics::{Kind, Metrics, Watched};

mod told;
mod trim;

use told::Told;

/// The objects, and word of their changes.
pub struct World {
    caches: Store<ImageCache>,
    nodes: Store<Node>,
    told: Told,
    changed: Arc<Notify>,
}

/// The objects at one moment, by name.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Image caches, in no order.
    pub caches: Vec<Arc<ImageCache>>,
    /// Nodes, in no order.
    pub nodes: Vec<Arc<Node>>,
    /// What nodes are told and report, by the node's name.
    pub node_caches: HashMap<String, Arc<NodeImageCache>>,
}

// === impl World ===

impl World {
    /// Begins to list and watch. The watches go on by themselves, through outages, until `running`
    /// is cancelled.
    pub fn watch(
        client: &Client,
        metrics: &Metrics,
        tasks: &TaskTracker,
        running: &CancellationToken,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        let watch = Watch { client, metrics, tasks, running, changed: &changed };
        let caches = watch.all(Kind::imagecaches, trim::metadata::<ImageCache>);
        let nodes = watch.all(Kind::nodes, trim::node);
        let told = watch.all(Kind::nodeimagecaches, trim::metadata::<NodeImageCache>);
        let told = Told::new(told);
        Self { caches, nodes, told, changed }
    }

    /// Resolves when everything has been listed once. Before that a plan would take missing nodes for
    /// deleted ones.
    pub async fn is_listed(&self) {
        // The writers live as long as the watches, so that none is dropped before.
        let _ = self.caches.wait_until_ready().await;
        let _ = self.nodes.wait_until_ready().await;
        self.told.is_listed().await;
    }

    /// Resolves when something may have changed since the last time it did.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The objects now.
    pub fn snapshot(&mut self, now: Timestamp) -> Snapshot {
        Snapshot {
            caches: self.caches.state(),
            nodes: self.nodes.state(),
            node_caches: self.told.state(now),
        }
    }

    /// Takes note of what a node was told, as the API server answered.
    pub fn note(&mut self, told: NodeImageCache, now: Timestamp) {
        self.told.note(told, now);
    }

    /// Takes note that a node's object was deleted.
    pub fn forget(&mut self, node: &str) {
        self.told.forget(node);
    }
}

/// What a watch needs.
struct Watch<'a> {
    client: &'a Client,
    metrics: &'a Metrics,
    tasks: &'a TaskTracker,
    running: &'a CancellationToken,
    changed: &'a Arc<Notify>,
}

// === impl Watch ===

impl Watch<'_> {
    fn all<K>(&self, resource: Kind, trim: fn(&mut K)) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store();
        let api: Api<K> = Api::all(self.client.clone());
        let events = watcher(api, watcher::Config::default()).default_backoff().modify(trim);
        let running = self.running.clone();
        let counted = Counted {
            lists: self.metrics.lists.get_or_create_owned(&Watched { resource }),
            errors: self.metrics.watch_errors.get_or_create_owned(&Watched { resource }),
        };
        let kept = keep(events, writer, counted, Arc::clone(self.changed));
        self.tasks.spawn(async move { running.run_until_cancelled(kept).await });
        store
    }
}

/// What is counted of a watch.
struct Counted {
    lists: Counter,
    errors: Counter,
}

/// Keeps what a watch tells in `writer`'s store.
async fn keep<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    writer: Writer<K>,
    counted: Counted,
    changed: Arc<Notify>,
) where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut events = std::pin::pin!(events.reflect(writer));
    while let Some(event) = events.next().await {
        match event {
            // Of a list's objects the end tells.
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Ok(event) => {
                counted.lists.inc_by(u64::from(matches!(event, watcher::Event::InitDone)));
                changed.notify_one();
            }
            Err(error) => {
                counted.errors.inc();
                warn!(%error, "the API server cannot be watched; trying again");
            }
        }
    }
}
