//! The agents of all nodes: a task each, over one watch.
//!
//! They write what a real agent writes and when: all images accepted in one write, then of the one that is
//! being brought in that it was begun, each quarter, and its end with the next one's beginning; what
//! happens within a second, or while a write is under way, is written together. Real agents watch one
//! object each; 5,000 watches would measure this machine's sockets.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, Patch, PatchParams},
    core::{NotUsed, Object},
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use onepull_api::{DesiredImage, NodeImageCache, NodeImageCacheSpec, Source};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    select,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tracing::warn;

mod model;

use model::Model;

/// Writes under way at once. More would only wait in the API server, which has as few cores as this.
const AT_ONCE: usize = 32;

/// What happens within this time is written together, as by real agents.
const TOGETHER: Duration = Duration::from_secs(1);

/// Before a write that failed is made again.
const AGAIN: Duration = Duration::from_secs(5);

/// A NodeImageCache as agents read it. Their own status comes back with each write and would be most of the
/// work.
type Told = Object<NodeImageCacheSpec, NotUsed>;

/// What one agent is told: the generation and the spec.
type Order = Arc<(Option<i64>, NodeImageCacheSpec)>;

/// All agents, until they are dropped.
pub(super) struct Agents {
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

struct Shared {
    api: Api<NodeImageCache>,
    image_time: Duration,
    turns: Semaphore,
    joined: AtomicUsize,
    written: AtomicU64,
    most: AtomicU64,
    started: Instant,
    /// By node and cache: each time that the node was told something else of it.
    told: Mutex<HashMap<(String, String), Vec<Telling>>>,
}

/// That a node was told something of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// When, after the nodes were made.
    pub seconds: u64,
    /// How many of its images the node is to hold.
    pub images: usize,
    /// How many of these it is to pull from the registry.
    pub upstream: usize,
}

// === impl Agents ===

impl Agents {
    pub(super) fn start(client: &Client, nodes: u32, image_time: Duration) -> Self {
        let shared = Arc::new(Shared {
            api: Api::all(client.clone()),
            image_time,
            turns: Semaphore::new(AT_ONCE),
            joined: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            most: AtomicU64::new(0),
            started: Instant::now(),
            told: Mutex::default(),
        });
        let mut running = JoinSet::new();
        running.spawn(dispatch(client.clone(), Arc::clone(&shared), nodes as usize));
        Self { shared, _running: running }
    }

    /// How many have reported.
    pub(super) fn joined(&self) -> usize {
        self.shared.joined.load(Ordering::Relaxed)
    }

    /// Writes of all agents so far.
    pub(super) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// What the node that was told most often of one rollout was told of it.
    pub(super) fn most_told_of_a_rollout(&self) -> Vec<Telling> {
        let told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.values().max_by_key(|told| told.len()).cloned().unwrap_or_default()
    }

    /// Writes of the agent that wrote most, without its first, for each image.
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(super) fn most_written_per_image(&self, images: u32) -> f64 {
        self.shared.most.load(Ordering::Relaxed).saturating_sub(1) as f64 / f64::from(images.max(1))
    }
}

/// Tells every agent what its node is to hold; the first word makes the agent.
async fn dispatch(client: Client, shared: Arc<Shared>, nodes: usize) {
    let resource = ApiResource::erase::<NodeImageCache>(&());
    let api: Api<Told> = Api::all_with(client, &resource);
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut orders: HashMap<String, watch::Sender<Order>> = HashMap::with_capacity(nodes);
    let mut agents = JoinSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let name = object.name_any();
                let order = Arc::new((object.metadata.generation, object.spec));
                match orders.get(&name) {
                    Some(known) => {
                        shared.note_told(&name, &known.borrow().1, &order.1);
                        known.send_if_modified(|old| {
                            let is_new = old.0 != order.0;
                            *old = order;
                            is_new
                        });
                    }
                    None => {
                        let (sender, receiver) = watch::channel(order);
                        orders.insert(name.clone(), sender);
                        agents.spawn(agent(name, receiver, Arc::clone(&shared)));
                    }
                }
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "agents cannot watch; trying again"),
        }
    }
}

// === impl Telling ===

impl Telling {
    fn of(cache: &String, spec: &NodeImageCacheSpec, after: Duration) -> Self {
        let images = || spec.images.iter().filter(|image| image.caches.contains(cache));
        let upstream = images().filter(|image| image.source == Source::Upstream);
        Self { seconds: after.as_secs(), images: images().count(), upstream: upstream.count() }
    }
}

// === impl Shared ===

impl Shared {
    fn note_told(&self, node: &str, before: &NodeImageCacheSpec, now: &NodeImageCacheSpec) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for cache in told_of(before, now) {
            let telling = Telling::of(&cache, now, self.started.elapsed());
            told.entry((node.to_owned(), cache)).or_default().push(telling);
        }
    }
}

/// The caches of whose images something else is said.
fn told_of(before: &NodeImageCacheSpec, now: &NodeImageCacheSpec) -> BTreeSet<String> {
    let all = before.images.iter().chain(&now.images);
    let mut caches: BTreeSet<String> = all.flat_map(|image| image.caches.clone()).collect();
    caches.retain(|cache| {
        let is_of = |image: &&DesiredImage| image.caches.contains(cache);
        !before.images.iter().filter(is_of).eq(now.images.iter().filter(is_of))
    });
    caches
}

async fn agent(name: String, mut orders: watch::Receiver<Order>, shared: Arc<Shared>) {
    let mut model = Model::new(shared.image_time);
    let (mut last, mut writes) = (None, 0u64);
    loop {
        let order = Arc::clone(&orders.borrow_and_update());
        let status = model.report(&order.1, order.0, Instant::now());
        if last.as_ref() == Some(&status) {
            let next = model.next();
            select! {
                changed = orders.changed() => if changed.is_err() { return },
                () = async { match next { Some(next) => sleep_until(next).await, None => std::future::pending().await } } => {}
            }
            continue;
        }
        let patch = Patch::Apply(json!({
            "apiVersion": "onepull.dev/v1alpha1", "kind": "NodeImageCache",
            "metadata": {"name": name}, "status": status,
        }));
        let Ok(turn) = shared.turns.acquire().await else { return };
        let owned = PatchParams::apply("onepull-agent").force();
        let written = shared.api.patch_status(&name, &owned, &patch).await;
        drop(turn);
        if let Err(error) = written {
            warn!(%error, node = name, "a status is not written; trying again");
            sleep(AGAIN).await;
            continue;
        }
        shared.joined.fetch_add(usize::from(writes == 0), Ordering::Relaxed);
        writes += 1;
        shared.written.fetch_add(1, Ordering::Relaxed);
        shared.most.fetch_max(writes, Ordering::Relaxed);
        last = Some(status);
        sleep(TOGETHER).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(images: &[(&str, Source)]) -> NodeImageCacheSpec {
        let image = |(name, source): &(&str, Source)| DesiredImage {
            refs: vec![format!("r.example/{name}:v1")],
            digest: (*name).to_owned(),
            source: *source,
            generation: 1,
            caches: vec![name[..1].to_owned()],
        };
        NodeImageCacheSpec { images: images.iter().map(image).collect(), ..Default::default() }
    }

    #[test]
    fn a_node_is_told_of_the_caches_whose_images_changed() {
        let caches = |before: &[_], now: &[_]| {
            told_of(&told(before), &told(now)).into_iter().collect::<String>()
        };
        let (upstream, peers) = (Source::Upstream, Source::Peers);
        assert_eq!(caches(&[], &[("a1", peers), ("b1", peers)]), "ab");
        assert_eq!(caches(&[("a1", peers)], &[("a1", peers), ("b1", peers)]), "b");
        assert_eq!(
            caches(&[("a1", peers), ("b1", peers)], &[("a1", upstream), ("b1", peers)]),
            "a"
        );
        assert_eq!(caches(&[("a1", peers)], &[("a1", peers)]), "");
    }
}
