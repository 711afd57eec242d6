//! The image that every node pulls: an OCI layout folder, generated or brought along.
//!
//! Blobs stay files; everything that serves them reads from there, so an image of any size is in
//! memory once, in the page cache.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use onepull_mirror::{Digest, digest::ParseDigestError};
use onepull_testbed::{Layout, layout::Spec};
use thiserror::Error;

/// One image in an OCI layout folder.
#[derive(Clone, Debug)]
pub struct Image {
    layout: Layout,
    /// The manifest's digest.
    pub manifest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// How many layers its manifest lists.
    pub layers: usize,
    /// Bytes of each blob: manifest, configuration and layers.
    pub sizes: BTreeMap<Digest, u64>,
}

/// Why there is no image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The folder is no layout, or could not be made one.
    #[error("cannot use {folder} as an image: {reason}")]
    Layout {
        /// Which folder.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest names something that is no digest.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
}

// === impl Image ===

impl Image {
    /// Reads the image for linux/amd64 from a layout folder, as `skopeo copy … oci:DIR` or `umoci`
    /// write it.
    ///
    /// # Errors
    /// When a document is missing or malformed, or a blob is not there in full.
    pub fn open(folder: &Path) -> Result<Self, ImageError> {
        Self::new(Layout::open(folder).map_err(unusable(folder))?)
    }

    /// Makes an image. The folder must be empty or not exist.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn generate(folder: &Path, spec: &Spec) -> Result<Self, ImageError> {
        Self::new(Layout::generate(folder, spec).map_err(unusable(folder))?)
    }

    /// Bytes of manifest, configuration and layers: what one pull has to move.
    pub fn bytes(&self) -> u64 {
        self.sizes.values().sum()
    }

    /// Where a blob lies.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        onepull_mirror::store::blob_path(self.layout.path(), digest)
    }

    /// The folder it is in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn new(layout: Layout) -> Result<Self, ImageError> {
        let mut sizes = BTreeMap::new();
        for blob in layout.blobs() {
            sizes.insert(blob.digest.to_string().parse()?, blob.size);
        }
        let manifest = layout.manifest_digest().to_string().parse()?;
        let media_type = layout.blobs().first().map(|blob| blob.media_type.to_string());
        let layers = layout.manifest().layers().len();
        Ok(Self { manifest, media_type: media_type.unwrap_or_default(), layers, sizes, layout })
    }
}

fn unusable<E: std::fmt::Display>(folder: &Path) -> impl FnOnce(E) -> ImageError {
    // A chain of causes is one sentence here; `{:#}` prints all of it.
    move |error| ImageError::Layout { folder: folder.to_owned(), reason: format!("{error:#}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_image_has_about_the_size_and_exactly_the_layers_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let image = Image::generate(folder.path(), &Spec::even(1 << 20, 3, 1)).unwrap();
        assert_eq!((image.layers, image.sizes.len()), (3, 5));
        assert!((1 << 20..(1 << 20) + 20_000).contains(&image.bytes()), "{}", image.bytes());
        for (digest, size) in &image.sizes {
            let bytes = std::fs::read(image.blob(digest)).unwrap();
            assert_eq!((Digest::sha256(&bytes), bytes.len() as u64), (*digest, *size));
        }
        assert_eq!(Image::open(folder.path()).unwrap().sizes, image.sizes);
    }

    #[test]
    fn a_folder_that_is_no_layout_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Image::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}
