//! The objects that a plan is made from, as the API server had them last.
//!
//! They are listed once and watched from then on. What plans read of nodes is kept in the planner's own
//! words, and every name once: 5,000 real nodes would take hundreds of megabytes. What this controller
//! wrote itself counts at once, before the watch brings it back: a plan that does not know what the one
//! before it told a node would tell another node the same.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Resource,
    runtime::{WatchStreamExt, watcher},
};
use onepull_api::{ImageCache, NodeImageCache};
use prometheus_client::metrics::counter::Counter;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    convert::{Machine, Names, Told},
    metrics::{Kind, Metrics, Watched},
};

mod ahead;
mod kept;

use ahead::Ahead;
pub(crate) use kept::Kept;

/// Objects in one answer to a list: 1.5 MiB of nodes, ten times that when decoded, and three lists at once.
pub(crate) const PAGE: u32 = 100;

/// The objects, and word of their changes.
pub struct World {
    caches: Kept<ImageCache>,
    machines: Kept<Machine>,
    told: Ahead,
    names: Arc<Mutex<Names>>,
    changed: Arc<Notify>,
}

/// The objects at one moment, by name.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Image caches, by name.
    pub caches: Vec<Arc<ImageCache>>,
    /// Nodes, by name.
    pub machines: Vec<Arc<Machine>>,
    /// What nodes are told and report, by the node's name.
    pub told: HashMap<String, Arc<Told>>,
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
        let names = Arc::<Mutex<Names>>::default();
        let caches = watch.all(Kind::imagecaches, slim);
        let known = Arc::clone(&names);
        let machines =
            watch.all(Kind::nodes, move |node: Node| Machine::read(&node, &mut lock(&known)));
        let known = Arc::clone(&names);
        let told = watch.all(Kind::nodeimagecaches, move |object: NodeImageCache| {
            Told::read(&object, &mut lock(&known), Timestamp::now())
        });
        Self { caches, machines, told: Ahead::new(told), names, changed }
    }

    /// Resolves when everything has been listed once. Before that a plan would take missing nodes for
    /// deleted ones.
    pub async fn is_listed(&self) {
        self.caches.is_listed().await;
        self.machines.is_listed().await;
        self.told.is_listed().await;
    }

    /// Resolves when something that is kept has changed since the last time it did.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The objects now.
    pub fn snapshot(&mut self, now: Timestamp) -> Snapshot {
        Snapshot {
            caches: self.caches.all(),
            machines: self.machines.all(),
            told: self.told.state(now),
        }
    }

    /// Takes note of what a node was told, as the API server answered.
    pub fn note(&mut self, told: &NodeImageCache, now: Timestamp) {
        self.told.note(Told::read(told, &mut lock(&self.names), now), now);
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
    fn all<K, V>(&self, resource: Kind, keep: impl Fn(K) -> V + Send + 'static) -> Kept<V>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        V: PartialEq + Send + Sync + 'static,
    {
        let kept = Kept::default();
        let api: Api<K> = Api::all(self.client.clone());
        let config = watcher::Config::default().page_size(PAGE);
        let events = watcher(api, config).default_backoff();
        let running = self.running.clone();
        let counted = Counted {
            lists: self.metrics.lists.get_or_create_owned(&Watched { resource }),
            errors: self.metrics.watch_errors.get_or_create_owned(&Watched { resource }),
        };
        let (into, changed) = (kept.clone(), Arc::clone(self.changed));
        let following = async move {
            running.run_until_cancelled(follow(events, into, keep, counted, changed)).await
        };
        self.tasks.spawn(following);
        kept
    }
}

/// What is counted of a watch.
struct Counted {
    lists: Counter,
    errors: Counter,
}

/// Keeps what a watch tells.
async fn follow<K: Resource<DynamicType = ()>, V: PartialEq>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    kept: Kept<V>,
    keep: impl Fn(K) -> V,
    counted: Counted,
    changed: Arc<Notify>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                counted.lists.inc_by(u64::from(matches!(event, watcher::Event::InitDone)));
                if kept.take_in(event, &keep) {
                    changed.notify_one();
                }
            }
            Err(error) => {
                counted.errors.inc();
                warn!(%error, "the API server cannot be watched; trying again");
            }
        }
    }
}

/// A cache without what says who wrote which field, which is often larger than the rest.
fn slim(mut cache: ImageCache) -> ImageCache {
    (cache.metadata.managed_fields, cache.metadata.annotations) = (None, None);
    cache
}

fn lock(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}
