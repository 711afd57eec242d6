//! Makes an image of any size: layers are tar archives of one file of noise each.
//!
//! Noise does not compress, so what is stored is what travels. It is a pure function of the seed:
//! the same command line pulls the same digests.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use onepull_mirror::{Digest, store::blob_path};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Image, ImageError, layout::architecture};

/// Bytes of noise made at a time.
const CHUNK: usize = 256 * 1024;
/// A tar archive is made of blocks of this size; two empty ones end it.
const TAR_BLOCK: u64 = 512;

/// Writes an image of `layers` layers, together `bytes` bytes, as an OCI layout under `root`.
///
/// Each layer is a valid tar archive, so a real container runtime can unpack it. The sum of the
/// layers is `bytes`, rounded up to whole tar blocks.
///
/// # Errors
/// When a file cannot be written.
pub fn generate(root: &Path, bytes: u64, layers: u64, seed: u64) -> Result<Image, ImageError> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(root.join("blobs/sha256"))?;
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in 0..layers {
            let size = bytes / layers + u64::from(layer < bytes % layers);
            let (digest, size) = write_layer(root, layer, size, seed)?;
            descriptors.push(descriptor("application/vnd.oci.image.layer.v1.tar", &digest, size));
            diff_ids.push(Value::from(digest.to_string()));
        }
        let config = json!({
            "architecture": architecture(), "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = write_document(root, "application/vnd.oci.image.config.v1+json", &config)?;
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": descriptors,
        });
        let manifest = write_document(root, media_type, &manifest)?;
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(root.join("index.json"), index.to_string())?;
        fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
    };
    write().map_err(ImageError::io(root))?;
    Image::open(root)
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": digest.to_string(), "size": size})
}

fn write_document(root: &Path, media_type: &str, document: &Value) -> io::Result<Value> {
    let text = document.to_string();
    let digest = Digest::sha256(text.as_bytes());
    fs::write(blob_path(root, &digest), &text)?;
    Ok(descriptor(media_type, &digest, text.len() as u64))
}

fn write_layer(root: &Path, layer: u64, size: u64, seed: u64) -> io::Result<(Digest, u64)> {
    let draft = root.join("draft");
    let mut out = Hashing::new(BufWriter::new(File::create(&draft)?));
    let overhead = 3 * TAR_BLOCK;
    let content = size.saturating_sub(overhead).max(1);
    out.write_all(&tar_header(&format!("layer-{layer}"), content))?;
    let mut noise = Noise::new(seed, layer);
    let mut chunk = vec![0; CHUNK];
    let mut left = content;
    while left > 0 {
        let take = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        noise.fill(&mut chunk[..take]);
        out.write_all(&chunk[..take])?;
        left -= take as u64;
    }
    let padding = content.next_multiple_of(TAR_BLOCK) - content + 2 * TAR_BLOCK;
    out.write_all(&vec![0; usize::try_from(padding).unwrap_or(0)])?;
    let (digest, written) = out.finish()?;
    fs::rename(&draft, blob_path(root, &digest))?;
    Ok((digest, written))
}

/// The POSIX ustar header of a plain file.
fn tar_header(name: &str, size: u64) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Hashes what it writes.
struct Hashing<W> {
    out: W,
    hasher: Sha256,
    written: u64,
}

impl<W: Write> Hashing<W> {
    fn new(out: W) -> Self {
        Self { out, hasher: Sha256::new(), written: 0 }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.out.flush()?;
        let hash: String =
            self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = format!("sha256:{hash}").parse().map_err(io::Error::other)?;
        Ok((digest, self.written))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): fast enough for gigabytes in an unoptimised build.
struct Noise(u64);

impl Noise {
    fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ stream.wrapping_mul(0xA24B_AED4_963E_E407))
    }

    fn fill(&mut self, chunk: &mut [u8]) {
        for bytes in chunk.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..bytes.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_the_size_and_layers_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let image = generate(folder.path(), 1 << 20, 3, 1).unwrap();
        assert_eq!(image.layers.len(), 3);
        assert_eq!(image.sizes.len(), 5);
        let layers: u64 = image.layers.iter().map(|layer| image.sizes[layer]).sum();
        assert!((1 << 20..(1 << 20) + 3 * TAR_BLOCK).contains(&layers), "{layers} bytes");
        for (digest, size) in &image.sizes {
            let bytes = fs::read(image.blob(digest)).unwrap();
            assert_eq!((Digest::sha256(&bytes), bytes.len() as u64), (*digest, *size));
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_image_and_another_seed_another() {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [a, b, c] = [(0, 7), (1, 7), (2, 8)]
            .map(|(folder, seed)| generate(folders[folder].path(), 9000, 2, seed).unwrap());
        assert_eq!(a.manifest, b.manifest);
        assert_ne!(a.manifest, c.manifest);
    }

    #[test]
    fn a_layout_with_a_truncated_layer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let image = generate(folder.path(), 9000, 2, 7).unwrap();
        fs::write(image.blob(&image.layers[1]), b"short").unwrap();
        let error = Image::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it has 5 bytes, its manifest says"), "{error}");
    }
}
