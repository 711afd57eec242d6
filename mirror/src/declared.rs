//! The manifests that this node is meant to hold: those of declared images.
//!
//! For them, and for no others, the mirror answers HEAD: whoever declared them decided that this node
//! may have them, so a pull by digest works while the registry is down.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::Digest;

/// Most images that are declared on a node: each kubelet lists the images of its node, and gets slow
/// long before.
pub const MOST_DECLARED: usize = 256;

/// Which manifests are declared. Clones share all.
#[derive(Clone, Debug, Default)]
pub struct Declared(Arc<RwLock<Images>>);

/// The digest of each image, and that of this node's platform where it is an index.
type Images = HashMap<Digest, Option<Digest>>;

// === impl Declared ===

impl Declared {
    /// From now on these images are declared, at most [`MOST_DECLARED`], and no others. What was
    /// learned of those that stay is kept.
    pub fn replace(&self, images: impl IntoIterator<Item = Digest>) {
        let mut known = self.write();
        let images = images.into_iter().take(MOST_DECLARED);
        *known = images.map(|image| (image, known.get(&image).copied().flatten())).collect();
    }

    /// Learns which manifest of a declared index is for this node; it counts as declared too.
    pub fn choose(&self, index: &Digest, manifest: Digest) {
        if let Some(chosen) = self.write().get_mut(index) {
            *chosen = Some(manifest);
        }
    }

    /// Whether a manifest is that of a declared image, or of its platform.
    pub fn contains(&self, manifest: &Digest) -> bool {
        let images = self.read();
        images.contains_key(manifest) || images.values().flatten().any(|chosen| chosen == manifest)
    }

    fn read(&self) -> RwLockReadGuard<'_, Images> {
        // Every change is one assignment.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Images> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_the_platform_is_declared_with_its_index() {
        let [index, manifest, other] = [b"i", b"m", b"o"].map(|bytes| Digest::sha256(bytes));
        let declared = Declared::default();
        declared.replace([index]);
        declared.choose(&index, manifest);
        declared.choose(&other, other);
        assert_eq!([index, manifest, other].map(|it| declared.contains(&it)), [true, true, false]);

        declared.replace([index, other]);
        assert!(declared.contains(&manifest), "the index stayed");
        declared.replace([other]);
        assert_eq!([index, manifest, other].map(|it| declared.contains(&it)), [false, false, true]);
    }
}
