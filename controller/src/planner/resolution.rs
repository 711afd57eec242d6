//! What the name of an image stands for.

use std::collections::BTreeMap;

use super::{Digest, Platform, Trouble};

/// What became of the question what a name stands for. A name that is in no map of resolutions has not
/// been asked for yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It stands for this, until the next rollout.
    Resolved(Resolved),
    /// The question went wrong. It is asked again by whoever asks.
    Failed(Trouble),
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of the index, or of the manifest where there is no index.
    pub digest: Digest,
    /// What there is for each platform.
    pub platforms: BTreeMap<Platform, Content>,
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The digest of the manifest.
    pub manifest: Digest,
    /// Bytes that a registry sends for it: config and layers, compressed.
    pub bytes: u64,
    /// Bytes that it takes on a node's disk: the blobs and what is unpacked from them. Who read the
    /// manifest knows best how much that is.
    pub disk: u64,
}

/// Disk that an image takes, in its compressed bytes: the blobs themselves, and twice as much unpacked. Layers
/// of programs shrink to less than half, weights of models hardly at all.
const USUAL_DISK: u64 = 3;

// === impl Content ===

impl Content {
    /// Bytes that an image of so many compressed bytes usually takes on a node's disk.
    pub fn usual_disk(bytes: u64) -> u64 {
        bytes.saturating_mul(USUAL_DISK)
    }
}
