//! How far one image is on one node, as the node was told and reports.

use onepull_api::{DesiredImage, NodeImageCache, Source};
use serde::Serialize;

use super::standing::{Standing, answer};

/// How far one image is on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    /// The first of its names.
    pub(crate) image: String,
    /// Its other names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) also: Vec<String>,
    /// What they stand for.
    pub(crate) digest: String,
    /// Who wants it, as NAMESPACE/NAME.
    pub(crate) caches: Vec<String>,
    /// Where the node gets it.
    pub(crate) source: Source,
    /// How the node stands to it.
    #[serde(flatten)]
    pub(crate) standing: Standing,
    /// How much of it is here.
    #[serde(flatten)]
    pub(crate) bytes: Bytes,
}

/// Bytes of an image on a node, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bytes {
    /// Those that are here.
    pub(crate) bytes_done: u64,
    /// All of them, as far as that is known.
    pub(crate) bytes_total: u64,
    /// Those that came from the registry.
    pub(crate) bytes_from_registry: u64,
    /// Those that came from other nodes.
    pub(crate) bytes_from_peers: u64,
}

// === impl Progress ===

impl Progress {
    /// Of all images that a node was told to hold, in its order.
    pub(crate) fn of(object: &NodeImageCache) -> Vec<Self> {
        object.spec.images.iter().map(|image| Self::of_image(object, image)).collect()
    }

    /// Its names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.image).chain(&self.also)
    }

    fn of_image(object: &NodeImageCache, image: &DesiredImage) -> Self {
        let held = answer(object, image);
        let mut names = image.refs.iter().cloned();
        Self {
            image: names.next().unwrap_or_default(),
            also: names.collect(),
            digest: image.digest.clone(),
            caches: image.caches.clone(),
            source: image.source,
            standing: Standing::of(object, image),
            bytes: held.map(Bytes::of).unwrap_or_default(),
        }
    }
}

// === impl Bytes ===

impl Bytes {
    fn of(held: &onepull_api::HeldImage) -> Self {
        Self {
            bytes_done: held.bytes_done,
            bytes_total: held.bytes_total.unwrap_or_default(),
            bytes_from_registry: held.bytes_from_upstream,
            bytes_from_peers: held.bytes_from_peers,
        }
    }

    /// With those of another image.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            bytes_done: self.bytes_done.saturating_add(other.bytes_done),
            bytes_total: self.bytes_total.saturating_add(other.bytes_total),
            bytes_from_registry: self.bytes_from_registry.saturating_add(other.bytes_from_registry),
            bytes_from_peers: self.bytes_from_peers.saturating_add(other.bytes_from_peers),
        }
    }
}

/// Where a node gets an image, in a word.
pub(crate) fn source(source: Source) -> &'static str {
    match source {
        Source::Upstream => "registry",
        Source::Peers => "peers",
    }
}
