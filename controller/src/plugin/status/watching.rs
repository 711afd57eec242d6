//! A status that is shown again whenever something changes.

use std::{fmt::Debug, time::Duration};

use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use onepull_api::{CacheState, ImageCache, NodeImageCache};
use serde::de::DeserializeOwned;
use tokio::time::{MissedTickBehavior, interval};

use super::{live::Screen, of_cache::OneCache, of_caches::Caches};
use crate::{
    plugin::{
        cluster::{Cluster, Reach, Scope},
        error::{AskError, Asked},
        output::{Answer, Output},
        wanted::is_observed,
    },
    world::{Kept, PAGE},
};

/// Between two looks: times are in seconds.
const LOOK: Duration = Duration::from_secs(1);

/// Lines of a terminal beside those of nodes: the headline, the table of images and its head, sentences.
const OTHER_LINES: usize = 12;

/// Fewer nodes are not worth showing, however small the terminal.
const FEWEST: usize = 3;

/// Shows one cache until it is Ready.
pub(super) async fn one(
    cluster: &Cluster,
    cache: &ImageCache,
    output: Output,
    is_terminal: bool,
) -> Result<(), AskError> {
    let (namespace, name) = (cache.namespace().unwrap_or_default(), cache.name_any());
    let id = format!("{namespace}/{name}");
    let (caches, nodes) =
        (Kept::<ImageCache>::default(), Kept::<Option<NodeImageCache>>::default());
    let named = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let of_cache = watch(cluster, Scope::Namespace(&namespace), named, &caches, |cache| cache);
    let of_nodes =
        watch(cluster, Scope::All, watcher::Config::default(), &nodes, |object| of(object, &id));
    let mut changes = std::pin::pin!(stream::select(of_cache, of_nodes));
    let mut screen = Screen::new(is_terminal);
    cluster.in_time(listed(&mut changes, &caches)).await?;
    cluster.in_time(listed(&mut changes, &nodes)).await?;
    let mut looks = looks();
    loop {
        let Some(cache) = caches.all().pop() else {
            let name = format!("{name} in namespace {namespace} any more");
            let otherwise = "somebody has deleted it";
            return Err(AskError::NoSuch {
                kind: "image cache",
                name,
                near: Vec::new(),
                otherwise,
            });
        };
        let told = nodes.all();
        let told = told.iter().filter_map(|object| object.as_ref().as_ref());
        let answer = OneCache::of(&cache, told, Timestamp::now());
        let answer = match screen.height() {
            Some(lines) => answer.shortened(lines.saturating_sub(OTHER_LINES).max(FEWEST)),
            None => answer,
        };
        show(&mut screen, output, &answer)?;
        if is_ready(&cache) {
            return Ok(());
        }
        next(&mut changes, &mut looks, is_terminal).await?;
    }
}

/// Shows all caches of a scope until Ctrl-C.
pub(super) async fn all(
    cluster: &Cluster,
    scope: Scope<'_>,
    output: Output,
    is_terminal: bool,
) -> Result<(), AskError> {
    let caches = Kept::<ImageCache>::default();
    let changes = watch(cluster, scope, watcher::Config::default(), &caches, |cache| cache);
    let mut changes = std::pin::pin!(changes);
    let mut screen = Screen::new(is_terminal);
    cluster.in_time(listed(&mut changes, &caches)).await?;
    let mut looks = looks();
    loop {
        let all: Vec<_> = caches.all().iter().map(|cache| ImageCache::clone(cache)).collect();
        show(&mut screen, output, &Caches::of(&all, scope, Timestamp::now()))?;
        next(&mut changes, &mut looks, is_terminal).await?;
    }
}

fn looks() -> tokio::time::Interval {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// Waits for the next change, and until a second after the last look; on a terminal, times go on.
async fn next(
    changes: &mut (impl Stream<Item = Result<(), AskError>> + Unpin),
    looks: &mut tokio::time::Interval,
    is_terminal: bool,
) -> Result<(), AskError> {
    let mut has_changed = is_terminal;
    loop {
        tokio::select! {
            change = changes.next() => {
                change.unwrap_or(Ok(()))?;
                has_changed = true;
            }
            _ = looks.tick(), if has_changed => return Ok(()),
        }
    }
}

fn show(screen: &mut Screen, output: Output, answer: &impl Answer) -> Result<(), AskError> {
    let shown = screen.show(&output.render(answer));
    shown.map_err(|error| AskError::Input(format!("cannot write to standard output: {error}")))
}

/// Resolves when all have been listed once.
async fn listed<V>(
    changes: &mut (impl Stream<Item = Result<(), AskError>> + Unpin),
    kept: &Kept<V>,
) -> Result<(), AskError> {
    loop {
        tokio::select! {
            biased;
            () = kept.is_listed() => return Ok(()),
            change = changes.next() => change.unwrap_or(Ok(()))?,
        }
    }
}

/// Keeps what a watch tells; an item for each change, and an error when it cannot go on.
fn watch<K, V>(
    cluster: &Cluster,
    scope: Scope<'_>,
    config: watcher::Config,
    kept: &Kept<V>,
    keep: impl Fn(K) -> V,
) -> impl Stream<Item = Result<(), AskError>>
where
    K: Resource<DynamicType = (), Scope: Reach> + Clone + DeserializeOwned + Debug + Send + 'static,
    V: PartialEq,
{
    let asked = cluster.asked::<K>("watch", scope);
    let api: Api<K> = <K::Scope as Reach>::api(&cluster.client, scope);
    let events = watcher(api, config.page_size(PAGE)).default_backoff();
    let kept = kept.clone();
    events.filter_map(move |event| {
        std::future::ready(match event {
            Ok(event) => kept.take_in(event, &keep).then_some(Ok(())),
            Err(error) => lasting(&asked, error).err().map(Err),
        })
    })
}

/// What goes by itself is waited for; what does not ends the watch.
fn lasting(asked: &Asked, error: watcher::Error) -> Result<(), AskError> {
    match error {
        watcher::Error::InitialListFailed(error @ kube::Error::Api(_))
        | watcher::Error::WatchStartFailed(error @ kube::Error::Api(_)) => {
            match asked.failed(error) {
                AskError::Other { .. } => Ok(()),
                error => Err(error),
            }
        }
        _ => Ok(()),
    }
}

/// What counts of a node for a cache: nothing when it was not told of it.
fn of(mut object: NodeImageCache, id: &str) -> Option<NodeImageCache> {
    object.spec.images.retain(|image| image.caches.iter().any(|cache| cache == id));
    object.metadata.managed_fields = None;
    (!object.spec.images.is_empty()).then_some(object)
}

fn is_ready(cache: &ImageCache) -> bool {
    let state = cache.status.as_ref().map(|status| status.state);
    is_observed(cache) && state == Some(CacheState::Ready)
}
