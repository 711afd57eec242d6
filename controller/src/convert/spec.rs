//! What a node is told, as its `NodeImageCache` has it: written from a plan, and read for the next.

use std::sync::Arc;

use onepull_api::{DesiredImage, ImageQuestion, NodeImageCacheSpec, UnwantedImage};

use crate::planner::{CacheId, Hold, ImageRef, Node, NodePlan, Removal, Source};

/// Where a node says in which zone it is.
const ZONE: &str = "topology.kubernetes.io/zone";

/// Removals that a spec has room for. More come together only on a node that has been away; what is left out is left
/// to the kubelet.
const MOST_REMOVALS: usize = onepull_api::MAX_IMAGES;

/// What a node is to be told, and asked.
pub fn spec(node: &Node, plan: &NodePlan, questions: &[ImageQuestion]) -> NodeImageCacheSpec {
    NodeImageCacheSpec {
        zone: node.labels.get(ZONE).map(|zone| zone.to_string()),
        images: plan.holds.iter().map(desired).collect(),
        remove: plan.removals.iter().take(MOST_REMOVALS).map(unwanted).collect(),
        questions: questions.to_vec(),
    }
}

/// What a node was told to hold.
pub fn holds(spec: &NodeImageCacheSpec) -> Vec<Hold> {
    spec.images.iter().map(hold).collect()
}

/// What a node was told to remove.
pub fn removals(spec: &NodeImageCacheSpec) -> Vec<Removal> {
    spec.remove.iter().map(removal).collect()
}

fn desired(hold: &Hold) -> DesiredImage {
    DesiredImage {
        refs: texts(&hold.refs),
        digest: hold.digest.to_string(),
        source: match hold.source {
            Source::Upstream => onepull_api::Source::Upstream,
            Source::Peers => onepull_api::Source::Peers,
        },
        generation: i64::try_from(hold.generation).unwrap_or(i64::MAX),
        caches: texts(&hold.caches),
    }
}

fn hold(written: &DesiredImage) -> Hold {
    Hold {
        digest: written.digest.as_str().into(),
        refs: names(&written.refs).collect(),
        source: match written.source {
            onepull_api::Source::Upstream => Source::Upstream,
            onepull_api::Source::Peers => Source::Peers,
        },
        generation: u64::try_from(written.generation).unwrap_or(0),
        caches: written.caches.iter().filter_map(|id| cache(id)).collect::<Arc<[CacheId]>>(),
    }
}

fn unwanted(removal: &Removal) -> UnwantedImage {
    UnwantedImage { refs: texts(&removal.refs), digest: removal.digest.to_string() }
}

fn removal(written: &UnwantedImage) -> Removal {
    Removal { digest: written.digest.as_str().into(), refs: names(&written.refs).collect() }
}

fn texts(names: &[impl ToString]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn names(texts: &[String]) -> impl Iterator<Item = ImageRef> {
    texts.iter().map(|text| text.as_str().into())
}

fn cache(id: &str) -> Option<CacheId> {
    id.split_once('/').map(|(namespace, name)| CacheId::new(namespace, name))
}

#[cfg(test)]
mod tests;
