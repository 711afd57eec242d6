//! From the rollup of a cache to the status that people read.

use std::collections::HashMap;

use jiff::Timestamp;
use onepull_api::{
    Counts, ImageCache, ImageCacheStatus, ImageStatus, MAX_IMAGES, MAX_LISTED, NodeSummary,
    NotWarmNode,
};

use super::{full_name, not_warm_reason};
use crate::planner::{ImageRef, ImageRollup, NodeRollup, NotWarm, Rollup};

mod conditions;
mod state;

pub use conditions::condition_reason;

/// Most bytes that are told of: the API server keeps them as int64, and beyond this readers of JSON round them.
/// It refuses more, again and again.
const MOST_BYTES: u64 = 1 << 53;

/// The names of a cache's images as it writes them, by those in full.
type Written<'a> = HashMap<ImageRef, &'a str>;

/// What the object says of images whose digest is not known, by their names in full.
type Before<'a> = HashMap<ImageRef, &'a ImageStatus>;

/// The status of a cache. Conditions whose value is the one that the object's status has keep their time of
/// transition; others changed `now`. An image that is not resolved keeps the digest that the object has for it, as that is
/// what its rollout began with, and whoever asks the registry asks for that.
pub fn status(object: &ImageCache, rollup: &Rollup, now: Timestamp) -> ImageCacheStatus {
    let (written, before) = (written(object), before(object, rollup));
    let image = |one| image(one, &written, &before);
    let nodes: Vec<NodeSummary> = rollup.selected.iter().take(MAX_LISTED).map(summary).collect();
    ImageCacheStatus {
        observed_generation: object.metadata.generation,
        state: state::state(&rollup.conditions),
        conditions: conditions::conditions(object, &rollup.conditions, now),
        counts: counts(rollup),
        images: rollup.images.iter().take(MAX_IMAGES).map(image).collect(),
        not_warm_nodes: rollup
            .not_warm
            .iter()
            .take(MAX_LISTED)
            .map(|n| not_warm(n, &written))
            .collect(),
        nodes_truncated: count(rollup.nodes.selected.saturating_sub(nodes.len())),
        nodes,
        upstream_bytes: bytes(rollup.upstream_bytes),
        upstream: upstream(rollup.upstream_bytes, rollup.image_bytes),
    }
}

/// How often the registry sent the images: `1.00x` is once. Nothing as long as their size is not known.
pub fn upstream(sent: u64, once: u64) -> Option<String> {
    let (sent, once) = (u128::from(sent), u128::from(once));
    let hundredths = (sent * 100 + once / 2).checked_div(once)?;
    Some(format!("{}.{:02}x", hundredths / 100, hundredths % 100))
}

fn written(object: &ImageCache) -> Written<'_> {
    let names = object.spec.cache_spec.iter().flat_map(|list| &list.images);
    // The first of several ways to write a name counts.
    names.rev().map(|name| (full_name(name), name.as_str())).collect()
}

fn before<'a>(object: &'a ImageCache, rollup: &Rollup) -> Before<'a> {
    if rollup.images.iter().all(|image| image.digest.is_some()) {
        return Before::new();
    }
    let images = object.status.iter().flat_map(|status| &status.images);
    images.map(|image| (full_name(&image.image), image)).collect()
}

fn as_written(name: &ImageRef, written: &Written<'_>) -> String {
    written.get(name).map_or_else(|| name.to_string(), |name| (*name).to_owned())
}

fn counts(rollup: &Rollup) -> Counts {
    let nodes = rollup.nodes;
    Counts {
        images: count(rollup.images.len()),
        nodes: count(nodes.selected),
        warm: count(nodes.warm),
        warming: count(nodes.warming),
        failed: count(nodes.failed),
        unavailable: count(nodes.unavailable),
    }
}

fn image(image: &ImageRollup, written: &Written<'_>, before: &Before<'_>) -> ImageStatus {
    let (digest, size) = match &image.digest {
        Some(digest) => (Some(digest.to_string()), image.bytes.map(bytes)),
        None => {
            before.get(&image.image).map_or((None, None), |old| (old.digest.clone(), old.bytes))
        }
    };
    ImageStatus {
        image: as_written(&image.image, written),
        digest,
        bytes: size,
        warm: count(image.warm),
        desired: count(image.desired),
        message: image.trouble.as_ref().map(ToString::to_string),
    }
}

fn not_warm(lacks: &NotWarm, written: &Written<'_>) -> NotWarmNode {
    NotWarmNode {
        name: lacks.node.to_string(),
        reason: not_warm_reason(&lacks.reason),
        image: Some(as_written(&lacks.image, written)),
        message: Some(lacks.reason.to_string()),
    }
}

fn summary(node: &NodeRollup) -> NodeSummary {
    NodeSummary {
        name: node.node.to_string(),
        warm: count(node.warm),
        desired: count(node.desired),
        upstream_bytes: bytes(node.upstream_bytes),
    }
}

fn bytes(bytes: u64) -> u64 {
    bytes.min(MOST_BYTES)
}

/// No cluster has that many of anything.
fn count(things: usize) -> u32 {
    u32::try_from(things).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
