//! From an `ImageCache` to what somebody wants.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use onepull_api::ImageCache;

use super::{full_name, gate};
use crate::planner::{
    Cache, CacheId, ImageList, ImageRef, OnDelete, Resolution, Selector, Share, Strategy,
};

/// What a cache wants now. `resolutions` are what its images stand for, by their names in full
/// ([`images`]).
///
/// Of two caches the one that was made earlier is the older, and of two made in the same second the one
/// whose name comes first.
pub fn cache(
    object: &ImageCache,
    resolutions: BTreeMap<ImageRef, Resolution>,
    now: Timestamp,
) -> Cache {
    let (spec, rollout) = (&object.spec, &object.spec.rollout);
    let created = object.metadata.creation_timestamp.as_ref();
    Cache {
        id: id(object),
        // What is not stored yet is the youngest.
        created: created.map_or(Timestamp::MAX, |time| time.0),
        lists: spec.cache_spec.iter().map(list).collect(),
        strategy: strategy(rollout.strategy),
        max_parallel: share(rollout.max_parallel),
        ready_when: share(rollout.ready_when),
        gate: gate(object, now),
        on_delete: on_delete(spec.on_delete),
        deleting: object.metadata.deletion_timestamp.is_some(),
        resolutions,
    }
}

/// The name of a cache.
pub fn id(object: &ImageCache) -> CacheId {
    let name = |name: &Option<String>| Arc::from(name.as_deref().unwrap_or_default());
    CacheId { namespace: name(&object.metadata.namespace), name: name(&object.metadata.name) }
}

/// The images of a cache, in full, in the order in which they are wanted, none of them twice.
pub fn images(object: &ImageCache) -> Vec<ImageRef> {
    let mut images: Vec<ImageRef> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for name in object.spec.cache_spec.iter().flat_map(|list| &list.images) {
        let name = full_name(name);
        if known.insert(name.clone()) {
            images.push(name);
        }
    }
    images
}

fn list(written: &onepull_api::ImageList) -> ImageList {
    let images = written.images.iter().map(|name| full_name(name)).collect();
    let label = |(key, value): (&String, &String)| (key.as_str().into(), value.as_str().into());
    let selector: Selector = written.node_selector.iter().map(label).collect();
    ImageList { images, selector }
}

fn strategy(written: onepull_api::Strategy) -> Strategy {
    match written {
        onepull_api::Strategy::Stream => Strategy::Stream,
        onepull_api::Strategy::Staged => Strategy::Staged,
    }
}

fn share(written: onepull_api::Share) -> Share {
    match written {
        onepull_api::Share::Nodes(nodes) => Share::Nodes(nodes),
        onepull_api::Share::Percent(percent) => Share::Percent(percent),
    }
}

fn on_delete(written: onepull_api::OnDelete) -> OnDelete {
    match written {
        onepull_api::OnDelete::Keep => OnDelete::Keep,
        onepull_api::OnDelete::Remove => OnDelete::Remove,
    }
}

#[cfg(test)]
mod tests;
