//! Reading an OCI layout folder, as `skopeo copy … oci:DIR` or `umoci` write it.

use std::{collections::BTreeMap, fs, path::Path};

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use onepull_mirror::{Digest, store::blob_path};

use super::{Image, ImageError};

/// An index may name another index; real layouts nest at most once or twice.
const MAX_NESTING: usize = 4;

// === impl Image ===

impl Image {
    /// Reads the image for this machine's architecture from a layout folder.
    ///
    /// # Errors
    /// When a document is missing or malformed, or a blob is not there in full.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        let chosen = choose(root, &root.join("index.json"), MAX_NESTING)?;
        let manifest = parse_digest(root, &chosen)?;
        let path = blob_path(root, &manifest);
        let parsed = ImageManifest::from_file(&path).map_err(|e| ImageError::invalid(&path, e))?;
        let config = parse_digest(&path, parsed.config())?;
        let layers = parsed.layers().iter().map(|layer| parse_digest(&path, layer));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let mut sizes = BTreeMap::from([(manifest, file_size(&path)?)]);
        for descriptor in std::iter::once(parsed.config()).chain(parsed.layers()) {
            let digest = parse_digest(&path, descriptor)?;
            sizes.insert(digest, sized(&blob_path(root, &digest), descriptor.size())?);
        }
        let media_type = chosen.media_type().to_string();
        Ok(Self { root: root.to_owned(), manifest, media_type, config, layers, sizes })
    }
}

/// The manifest for this machine: the one whose platform fits, or the only one there is.
fn choose(root: &Path, path: &Path, depth: usize) -> Result<Descriptor, ImageError> {
    let index = ImageIndex::from_file(path).map_err(|e| ImageError::invalid(path, e))?;
    let wanted = architecture();
    let fits = |entry: &&Descriptor| {
        let platform = entry.platform().as_ref();
        platform.is_none_or(|platform| platform.architecture().to_string() == wanted)
    };
    let entry = index.manifests().iter().find(fits);
    let entry = entry.ok_or_else(|| ImageError::NoPlatform(root.to_owned(), wanted.into()))?;
    match entry.media_type() {
        MediaType::ImageIndex if depth > 0 => {
            choose(root, &blob_path(root, &parse_digest(path, entry)?), depth - 1)
        }
        _ => Ok(entry.clone()),
    }
}

/// The architecture as OCI names it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn parse_digest(path: &Path, descriptor: &Descriptor) -> Result<Digest, ImageError> {
    let digest = descriptor.digest().to_string();
    digest.parse().map_err(|error| ImageError::invalid(path, error))
}

fn file_size(path: &Path) -> Result<u64, ImageError> {
    Ok(fs::metadata(path).map_err(ImageError::io(path))?.len())
}

fn sized(path: &Path, expected: u64) -> Result<u64, ImageError> {
    match file_size(path)? {
        size if size == expected => Ok(size),
        size => {
            let reason = format!("it has {size} bytes, its manifest says {expected}");
            Err(ImageError::invalid(path, reason))
        }
    }
}
