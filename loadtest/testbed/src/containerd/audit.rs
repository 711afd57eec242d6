//! Whether an image is really there: every blob of it, hashed again from the files on disk.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use oci_spec::image::{Digest, ImageManifest};

use super::server::Containerd;
use crate::layout::sha256_file;

/// What an image consists of on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageAudit {
    /// Manifest, config and layers; a layer that occurs twice counts once.
    pub blobs: usize,
    /// Their bytes as stored.
    pub bytes: u64,
}

// === impl Containerd ===

impl Containerd {
    /// Hashes the manifest and all that it names.
    ///
    /// # Errors
    /// When a blob is missing, has another size, or other bytes than its digest says.
    pub async fn verify_image(&self, manifest: &Digest) -> Result<ImageAudit> {
        let (manifest, content) = (manifest.clone(), self.root());
        let content = content.join("io.containerd.content.v1.content");
        tokio::task::spawn_blocking(move || audit_manifest(&content, &manifest)).await?
    }
}

/// Hashes the manifest and all that it names below `<folder>/blobs/<algorithm>/<hex>`.
///
/// # Errors
/// When a blob is missing, has another size, or other bytes than its digest says.
pub fn audit_manifest(folder: &Path, manifest: &Digest) -> Result<ImageAudit> {
    let mut audit = ImageAudit { blobs: 1, bytes: audit_blob(folder, manifest)? };
    let parsed = ImageManifest::from_file(path(folder, manifest))
        .with_context(|| format!("{manifest} is not an image manifest"))?;
    let mut seen = vec![manifest];
    for descriptor in std::iter::once(parsed.config()).chain(parsed.layers()) {
        if seen.contains(&descriptor.digest()) {
            continue;
        }
        let bytes = audit_blob(folder, descriptor.digest())?;
        let (digest, size) = (descriptor.digest(), descriptor.size());
        ensure!(bytes == size, "{digest} has {bytes} bytes, its manifest says {size}");
        audit.blobs += 1;
        audit.bytes += bytes;
        seen.push(digest);
    }
    Ok(audit)
}

fn audit_blob(folder: &Path, digest: &Digest) -> Result<u64> {
    let (actual, bytes) = sha256_file(&path(folder, digest))
        .with_context(|| format!("blob {digest} cannot be read"))?;
    ensure!(actual == *digest, "the bytes of {digest} are those of {actual}");
    Ok(bytes)
}

fn path(folder: &Path, digest: &Digest) -> std::path::PathBuf {
    folder.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest())
}
