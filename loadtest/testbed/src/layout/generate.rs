//! Making an image of any size whose layers do not compress, the same bytes for the same seed.

use std::{
    fs::{self, File},
    io::{BufWriter, Read, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use oci_spec::image::{Descriptor, Digest, MediaType};
use serde_json::json;

use super::{Layout, blob_path, digest::Hashing, gzip::Stored, sha256, write_index};
use crate::tools;

/// How layers are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As plain tar.
    #[default]
    None,
    /// In gzip's frame, as it stores what it cannot shorten.
    Gzip,
}

/// What image to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Bytes of file content per layer; headers of tar and gzip come on top (about 2 KiB).
    pub layers: Vec<u64>,
    /// Images with different seeds share no layer.
    pub seed: u64,
    /// How layers are stored.
    pub compression: Compression,
}

/// A layer's digests as stored and as plain tar.
struct Layer {
    digest: Digest,
    size: u64,
    diff_id: Digest,
}

// === impl Spec ===

impl Spec {
    /// An image of about `size` bytes in layers of the same size.
    pub fn even(size: u64, layers: u64, seed: u64) -> Self {
        let layers = (0..layers).map(|_| size / layers).collect();
        Self { layers, seed, compression: Compression::None }
    }

    /// An image of about `size` bytes in layers of different sizes, as if one had written an image
    /// by hand: the largest has as many times the bytes of the smallest as there are layers, and
    /// their order depends on the seed.
    pub fn mixed(size: u64, layers: u64, seed: u64) -> Self {
        let mut noise = Noise::new(seed, layers);
        let mut parts: Vec<_> = (1..=layers).map(|part| (noise.next(), part)).collect();
        parts.sort_unstable();
        let all = layers * (layers + 1) / 2;
        let layers = parts.into_iter().map(|(_, part)| size * part / all.max(1)).collect();
        Self { layers, seed, compression: Compression::None }
    }
}

// === impl Layout ===

impl Layout {
    /// Makes an image in `folder`, which must be empty or not exist.
    ///
    /// Each layer is a tar with one file of pseudo-random bytes. 256 MiB take about 2 s.
    ///
    /// # Errors
    /// When there are no layers, or the folder cannot be written.
    pub fn generate(folder: &Path, spec: &Spec) -> Result<Self> {
        ensure!(!spec.layers.is_empty(), "an image needs a layer");
        make(folder, spec, None)
    }

    /// As [`Layout::generate`], after a layer with Debian's static busybox: a container of it waits until it is ended.
    /// There may be no other layer.
    ///
    /// # Errors
    /// When busybox is not installed, or the folder cannot be written.
    pub fn waiting(folder: &Path, spec: &Spec) -> Result<Self> {
        make(folder, spec, Some(&tools::find("busybox").context("busybox is not installed")?))
    }
}

/// What a container with busybox does; process 1 of a container ends by SIGTERM only if it says so.
const WAIT: [&str; 3] = ["/bin/busybox", "sh", "-c"];

/// What its shell is told.
const WAIT_SCRIPT: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done";

/// The one file of a layer.
struct Content<R> {
    path: String,
    mode: u32,
    bytes: u64,
    read: R,
}

fn make(folder: &Path, spec: &Spec, program: Option<&Path>) -> Result<Layout> {
    fs::create_dir_all(folder.join("blobs/sha256"))?;
    let mut layers = Vec::new();
    if let Some(program) = program {
        let (bytes, read) = (fs::metadata(program)?.len(), File::open(program)?);
        let content = Content { path: "bin/busybox".into(), mode: 0o755, bytes, read };
        layers.push(write_layer(folder, content, spec.compression)?);
    }
    for (bytes, index) in spec.layers.iter().zip(0..) {
        let read = Noise::new(spec.seed, index).take(*bytes);
        let content = Content { path: format!("layer-{index}"), mode: 0o644, bytes: *bytes, read };
        let layer = write_layer(folder, content, spec.compression);
        layers.push(layer.with_context(|| format!("cannot write layer {index}"))?);
    }
    let config = write_config(folder, &layers, program.is_some())?;
    let manifest = write_manifest(folder, &config, &layers, spec.compression)?;
    write_index(folder, &manifest)?;
    Layout::open(folder)
}

fn write_layer<R: Read>(
    folder: &Path,
    content: Content<R>,
    compression: Compression,
) -> Result<Layer> {
    let unfinished = folder.join("blobs/sha256/layer.unfinished");
    let file = Hashing::new(BufWriter::with_capacity(1 << 20, File::create(&unfinished)?));
    let (mut file, diff_id) = match compression {
        Compression::None => {
            let file = write_tar(file, content)?;
            let diff_id = file.digest();
            (file, diff_id)
        }
        Compression::Gzip => {
            let plain = write_tar(Hashing::new(Stored::new(file)?), content)?;
            let diff_id = plain.digest();
            (plain.into_inner().finish()?, diff_id)
        }
    };
    file.flush()?;
    let layer = Layer { digest: file.digest(), size: file.written, diff_id };
    fs::rename(unfinished, blob_path(folder, &layer.digest))?;
    Ok(layer)
}

fn write_tar<W: Write, R: Read>(inner: W, content: Content<R>) -> Result<W> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.bytes);
    header.set_mode(content.mode);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_entry_type(tar::EntryType::Regular);
    let mut tar = tar::Builder::new(inner);
    tar.append_data(&mut header, content.path, content.read)?;
    Ok(tar.into_inner()?)
}

fn write_config(folder: &Path, layers: &[Layer], waits: bool) -> Result<Descriptor> {
    let runs = match waits {
        true => json!({"Entrypoint": WAIT, "Cmd": [WAIT_SCRIPT]}),
        false => json!({}),
    };
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": runs,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    write_blob(folder, config.to_string().as_bytes(), MediaType::ImageConfig)
}

fn write_manifest(
    folder: &Path,
    config: &Descriptor,
    layers: &[Layer],
    compression: Compression,
) -> Result<Descriptor> {
    let media_type = match compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
    };
    let layer = |layer: &Layer| {
        let (digest, size) = (layer.digest.to_string(), layer.size);
        json!({"mediaType": media_type.to_string(), "digest": digest, "size": size})
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest.to_string(),
        "config": {
            "mediaType": config.media_type().to_string(),
            "digest": config.digest().to_string(),
            "size": config.size(),
        },
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    });
    write_blob(folder, manifest.to_string().as_bytes(), MediaType::ImageManifest)
}

fn write_blob(folder: &Path, bytes: &[u8], media_type: MediaType) -> Result<Descriptor> {
    let digest = sha256(bytes);
    fs::write(blob_path(folder, &digest), bytes)?;
    Ok(Descriptor::new(media_type, bytes.len() as u64, digest))
}

/// Endless pseudo-random bytes: SplitMix64 (Steele, Lea, Flood 2014), which is fast even in an
/// unoptimised build and needs to fool nobody but a compressor.
struct Noise {
    state: u64,
}

// === impl Noise ===

impl Noise {
    fn new(seed: u64, layer: u64) -> Self {
        Self { state: seed.rotate_left(32) ^ layer.wrapping_mul(0xA076_1D64_78BD_642F) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for piece in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            piece.copy_from_slice(&bytes[..piece.len()]);
        }
        Ok(buffer.len())
    }
}
