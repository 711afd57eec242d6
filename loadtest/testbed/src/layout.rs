//! One image in an OCI image layout folder: generated, built from packages, or a user's own.

mod debian;
mod digest;
mod generate;
mod gzip;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use oci_spec::image::{Arch, Descriptor, Digest, ImageIndex, ImageManifest, MediaType, Os};

use crate::process::run;

pub use debian::debian_layout;
pub use digest::{sha256, sha256_file};
pub use generate::{Compression, Spec};

/// An index may name indexes; a chain longer than this is a mistake or a loop.
const MAX_DEPTH: u8 = 4;

/// An image for linux/amd64 in a layout folder.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
    manifest: Descriptor,
    parsed: ImageManifest,
}

/// A blob of an image: its manifest, its config or a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Of the bytes as stored.
    pub digest: Digest,
    /// Bytes as stored.
    pub size: u64,
    /// As its descriptor says.
    pub media_type: MediaType,
}

// === impl Layout ===

impl Layout {
    /// Opens a layout folder. Of several images it takes the first for linux/amd64.
    ///
    /// # Errors
    /// When it is no layout, names no such image, or does not hold the image's blobs.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        let index = ImageIndex::from_file(folder.join("index.json"))
            .with_context(|| format!("{} is not an OCI image layout", folder.display()))?;
        let manifest = resolve(&folder, &index, 0)?;
        let parsed = ImageManifest::from_file(blob_path(&folder, manifest.digest()))
            .with_context(|| format!("cannot read the image manifest {}", manifest.digest()))?;
        let layout = Self { folder, manifest, parsed };
        for blob in layout.blobs() {
            let found = fs::metadata(layout.blob(&blob.digest))
                .with_context(|| format!("the layout lacks blob {}", blob.digest))?
                .len();
            let Blob { digest, size, .. } = blob;
            ensure!(found == size, "blob {digest} has {found} bytes instead of {size}");
        }
        Ok(layout)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The digest by which the image is pulled.
    pub fn manifest_digest(&self) -> &Digest {
        self.manifest.digest()
    }

    /// The image manifest.
    pub fn manifest(&self) -> &ImageManifest {
        &self.parsed
    }

    /// Manifest, config and layers in this order; a layer that occurs twice is listed once.
    pub fn blobs(&self) -> Vec<Blob> {
        let parts = [&self.manifest, self.parsed.config()].into_iter().chain(self.parsed.layers());
        let mut blobs: Vec<Blob> = Vec::new();
        for part in parts {
            if !blobs.iter().any(|blob| blob.digest == *part.digest()) {
                blobs.push(Blob {
                    digest: part.digest().clone(),
                    size: part.size(),
                    media_type: part.media_type().clone(),
                });
            }
        }
        blobs
    }

    /// Bytes of all blobs as stored: what one node needs from the registry, headers apart.
    pub fn bytes(&self) -> u64 {
        self.blobs().iter().map(|blob| blob.size).sum()
    }

    /// Where a blob lies.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.folder, digest)
    }

    /// Writes it to a tar file that `ctr images import` takes, for the image `name`.
    ///
    /// # Errors
    /// When skopeo fails, with what it said.
    pub fn archive(&self, file: &Path, name: &str) -> Result<()> {
        let view = tempfile::tempdir()?;
        let source = self.single_image_view(view.path())?;
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet", &source]);
        run(skopeo.arg(format!("docker-archive:{}:{name}", file.display())))?;
        Ok(())
    }

    /// Makes the empty folder `view` a layout over the same blobs that names this image alone;
    /// returns it as a source for skopeo.
    pub(crate) fn single_image_view(&self, view: &Path) -> Result<String> {
        symlink(fs::canonicalize(self.folder.join("blobs"))?, view.join("blobs"))?;
        write_index(view, &self.manifest)?;
        Ok(format!("oci:{}:{VIEW_TAG}", view.display()))
    }
}

/// The tag of the one image in a layout that we write.
const VIEW_TAG: &str = "image";

/// Writes `oci-layout` and an `index.json` with one image.
fn write_index(folder: &Path, manifest: &Descriptor) -> Result<()> {
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageIndex.to_string(),
        "manifests": [{
            "mediaType": manifest.media_type().to_string(),
            "digest": manifest.digest().to_string(),
            "size": manifest.size(),
            "annotations": {"org.opencontainers.image.ref.name": VIEW_TAG},
        }],
    });
    fs::write(folder.join("index.json"), index.to_string())?;
    Ok(())
}

fn resolve(folder: &Path, index: &ImageIndex, depth: u8) -> Result<Descriptor> {
    ensure!(depth < MAX_DEPTH, "more than {MAX_DEPTH} indexes in a row");
    for descriptor in index.manifests().iter().filter(|descriptor| suits(descriptor)) {
        match descriptor.media_type() {
            MediaType::ImageIndex => {
                let path = blob_path(folder, descriptor.digest());
                if let Ok(found) = resolve(folder, &ImageIndex::from_file(path)?, depth + 1) {
                    return Ok(found);
                }
            }
            MediaType::Other(list) if list.ends_with("manifest.list.v2+json") => {
                let path = blob_path(folder, descriptor.digest());
                if let Ok(found) = resolve(folder, &ImageIndex::from_file(path)?, depth + 1) {
                    return Ok(found);
                }
            }
            _ => return Ok(descriptor.clone()),
        }
    }
    bail!("the layout names no image for linux/amd64")
}

/// Attestations are listed beside images with the platform unknown/unknown.
fn suits(descriptor: &Descriptor) -> bool {
    descriptor.platform().as_ref().is_none_or(|platform| {
        *platform.os() == Os::Linux && *platform.architecture() == Arch::Amd64
    })
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest())
}
