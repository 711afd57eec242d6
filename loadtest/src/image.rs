//! The image that every node pulls: an OCI layout folder, generated or brought along.
//!
//! Blobs stay files; everything that serves them reads from there, so an image of any size is in
//! memory once, in the page cache.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use onepull_mirror::{Digest, store::blob_path};
use thiserror::Error;

mod generate;
mod layout;

pub use generate::generate;

/// One image in an OCI layout folder.
#[derive(Clone, Debug)]
pub struct Image {
    root: PathBuf,
    /// The manifest's digest.
    pub manifest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// The configuration's digest.
    pub config: Digest,
    /// The layers' digests, base first.
    pub layers: Vec<Digest>,
    /// Bytes of each blob, the manifest's too.
    pub sizes: BTreeMap<Digest, u64>,
}

/// Why there is no image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A file of the layout could not be read or written.
    #[error("cannot use {path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A document of the layout is not what the OCI image specification says.
    #[error("{path} is not valid: {reason}")]
    Invalid {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing in the layout is an image for this machine.
    #[error("{0} holds no image for linux/{1}: build one with `--platform linux/{1}`")]
    NoPlatform(PathBuf, String),
}

// === impl Image ===

impl Image {
    /// Bytes of manifest, configuration and layers: what one pull has to move.
    pub fn bytes(&self) -> u64 {
        self.sizes.values().sum()
    }

    /// Where a blob lies.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.root, digest)
    }

    /// The OCI layout folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every blob of the image but the manifest: configuration first, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

// === impl ImageError ===

impl ImageError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    fn invalid(path: &Path, reason: impl ToString) -> Self {
        Self::Invalid { path: path.to_owned(), reason: reason.to_string() }
    }
}
