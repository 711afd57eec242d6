//! The image that all nodes want.

use bytes::Bytes;
use onepull_mirror::Digest;

use crate::random::Random;

const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a registry path names a blob by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Manifest,
    Layer,
}

/// A blob of the image.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) kind: Kind,
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
}

/// An image: a manifest and the layers that it names.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) manifest: Blob,
    pub(crate) layers: Vec<Blob>,
}

// === impl Image ===

impl Image {
    /// An image with layers of these sizes in bytes.
    pub(crate) fn with_layers(sizes: &[usize]) -> Self {
        let mut random = Random::seeded(7);
        let layers = sizes.iter().map(|size| Blob::new(Kind::Layer, random.bytes(*size)));
        let layers: Vec<_> = layers.collect();
        let named: Vec<_> = layers.iter().map(Blob::descriptor).collect();
        let named = named.join(",");
        let manifest =
            format!(r#"{{"schemaVersion":2,"mediaType":"{MEDIA_TYPE}","layers":[{named}]}}"#);
        Self { manifest: Blob::new(Kind::Manifest, manifest.into()), layers }
    }

    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.manifest).chain(&self.layers)
    }

    /// Bytes of the whole image.
    pub(crate) fn size(&self) -> u64 {
        self.blobs().map(Blob::size).sum()
    }
}

// === impl Blob ===

impl Blob {
    fn new(kind: Kind, bytes: Bytes) -> Self {
        Self { kind, digest: Digest::sha256(&bytes), bytes }
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The path and query of a request for it, as containerd writes it.
    pub(crate) fn path(&self) -> String {
        let kind = match self.kind {
            Kind::Manifest => "manifests",
            Kind::Layer => "blobs",
        };
        format!("/v2/team/app/{kind}/{}?ns=registry.example", self.digest)
    }

    fn descriptor(&self) -> String {
        format!(r#"{{"digest":"{}","size":{}}}"#, self.digest, self.size())
    }
}
