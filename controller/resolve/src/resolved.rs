//! What a name stands for.

use oci_spec::image::Digest;

use crate::{ImageRef, Platform};

/// An image as the registry has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What `repository@digest` is pulled by: of the index if there is one, else of the image.
    pub digest: Digest,
    /// The images by platform, those that were asked for, each once.
    pub images: Vec<PlatformImage>,
    /// All platforms that there are images for, to say what is there when one is missing.
    pub platforms: Vec<Platform>,
}

/// The image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformImage {
    /// What it runs on.
    pub platform: Platform,
    /// Of its manifest.
    pub manifest: Digest,
    /// Bytes that a node has to fetch: manifest, configuration and layers, each once.
    pub compressed_bytes: u64,
    /// Bytes that a node's disk needs for it, estimated: what is fetched is kept, and layers
    /// that are compressed are taken to unpack to two and a half times their size.
    pub disk_bytes: u64,
}

// === impl Resolved ===

impl Resolved {
    /// The image that a node of this platform takes, by the rules of its runtime.
    pub fn image_for(&self, node: &Platform) -> Option<&PlatformImage> {
        let distance = |image: &&PlatformImage| node.distance(&image.platform);
        self.images.iter().filter(|image| distance(image).is_some()).min_by_key(distance)
    }

    /// `REGISTRY/REPOSITORY@DIGEST` to pull it by.
    pub fn pinned(&self, image: &ImageRef) -> String {
        image.pinned(&self.digest)
    }
}
