//! Who keeps which blobs of a folder from being collected: a set in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::Digest;

/// The blobs that each image keeps. As many as the images that somebody declared.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<Digest, BTreeSet<Digest>>);

// === impl Leases ===

impl Leases {
    /// From now on `image` keeps `blob`.
    pub(super) fn keep(&mut self, image: Digest, blob: Digest) {
        self.0.entry(image).or_default().insert(blob);
    }

    /// From now on `image` keeps nothing.
    pub(super) fn end(&mut self, image: &Digest) {
        self.0.remove(image);
    }

    /// The images that keep something.
    pub(super) fn images(&self) -> BTreeSet<Digest> {
        self.0.keys().copied().collect()
    }

    /// The images that keep `blob`.
    pub(super) fn of(&self, blob: &Digest) -> BTreeSet<Digest> {
        let keeping = self.0.iter().filter(|(_, blobs)| blobs.contains(blob));
        keeping.map(|(image, _)| *image).collect()
    }
}
