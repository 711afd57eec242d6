//! One cache: its images, and each of its nodes. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use onepull_api::{ImageCache, ImageStatus, NodeImageCache};
use serde::Serialize;

use super::of_caches::CacheRow;
use crate::{
    convert::id,
    plugin::{
        output::Answer,
        progress::{Bytes, Progress},
        wanted::is_observed,
    },
};

mod node_row;
mod text;

use node_row::NodeRow;

/// One cache and its nodes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OneCache {
    cache: CacheRow,
    images: Vec<ImageRow>,
    nodes: Vec<NodeRow>,
    /// Selected nodes that are not in the list.
    nodes_not_listed: usize,
    #[serde(skip)]
    is_observed: bool,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageRow {
    #[serde(flatten)]
    status: ImageStatus,
    /// Of all nodes together.
    #[serde(flatten)]
    bytes: Bytes,
}

/// The names of the nodes that a cache selects, where its status is up to date and lists them all.
pub(super) fn nodes(cache: &ImageCache) -> Option<Vec<String>> {
    let status = cache.status.as_ref()?;
    let complete = status.nodes_truncated == 0 && is_observed(cache);
    complete.then(|| status.nodes.iter().map(|node| node.name.clone()).collect())
}

// === impl OneCache ===

impl OneCache {
    /// What the status of a cache and the objects of nodes say of it.
    pub(crate) fn of<'a>(
        cache: &ImageCache,
        told: impl IntoIterator<Item = &'a NodeImageCache>,
        now: Timestamp,
    ) -> Self {
        let id = id(cache).to_string();
        let mut by_digest: BTreeMap<String, Bytes> = BTreeMap::new();
        let mut rows = BTreeMap::new();
        for object in told {
            let mut images = Progress::of(object);
            images.retain(|image| image.caches.contains(&id));
            for image in &images {
                let sum = by_digest.entry(image.digest.clone()).or_default();
                *sum = sum.and(image.bytes);
            }
            let row = NodeRow::of(object, &images);
            row.into_iter().for_each(|row| drop(rows.insert(row.name.clone(), row)));
        }
        let status = cache.status.clone().unwrap_or_default();
        add_what_the_controller_says(&mut rows, cache);
        let image = |status: ImageStatus| {
            let digest = status.digest.as_deref().unwrap_or_default();
            let bytes = by_digest.get(digest).copied().unwrap_or_default();
            ImageRow { status, bytes }
        };
        let mut nodes: Vec<_> = rows.into_values().collect();
        // Those that somebody may have to do something about come first.
        nodes.sort_by_key(|row| row.standing.is_warm());
        Self {
            cache: CacheRow::of(cache),
            images: status.images.into_iter().map(image).collect(),
            nodes_not_listed: (status.counts.nodes as usize).saturating_sub(nodes.len()),
            nodes,
            is_observed: is_observed(cache),
            now,
        }
    }

    /// The same with `most` nodes at most: a terminal has so many lines.
    pub(super) fn shortened(mut self, most: usize) -> Self {
        self.nodes_not_listed += self.nodes.len().saturating_sub(most);
        self.nodes.truncate(most);
        self
    }
}

fn add_what_the_controller_says(rows: &mut BTreeMap<String, NodeRow>, cache: &ImageCache) {
    let Some(status) = &cache.status else { return };
    let summaries: BTreeMap<_, _> = status.nodes.iter().map(|node| (&node.name, node)).collect();
    for (name, row) in rows.iter_mut() {
        summaries.get(name).into_iter().for_each(|summary| row.counts(summary));
    }
    for entry in &status.not_warm_nodes {
        match rows.get_mut(&entry.name) {
            Some(row) => row.hears(entry),
            None => {
                let mut row = NodeRow::untold(entry);
                summaries.get(&entry.name).into_iter().for_each(|summary| row.counts(summary));
                rows.insert(entry.name.clone(), row);
            }
        }
    }
}

impl Answer for OneCache {
    fn text(&self, wide: bool) -> String {
        text::text(self, wide)
    }
}

#[cfg(test)]
mod tests;
