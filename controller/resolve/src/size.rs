//! What an image takes on a node: to fetch, and on its disk.

use std::collections::HashSet;

use oci_spec::image::{Descriptor, ImageManifest};

/// Twice and a half of a compressed layer is what it takes unpacked. Of common images (nginx,
/// postgres, python, golang) gzip leaves 36 to 42 %; models and media shrink less, so this
/// estimate is too high for them: a node may be refused too early, never filled.
const UNPACKED: (u64, u64) = (5, 2);

/// Bytes of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Manifest, configuration and layers as the registry stores them; each blob once.
    pub(crate) compressed: u64,
    /// Those, as the runtime keeps them, and the layers unpacked.
    pub(crate) on_disk: u64,
}

/// Sizes in a manifest are its author's claims, so sums stop at the largest number.
pub(crate) fn size(manifest: &ImageManifest, manifest_bytes: u64) -> Size {
    let (mut layers, mut known) = (Vec::<&Descriptor>::new(), HashSet::new());
    for layer in manifest.layers() {
        if known.insert(layer.digest()) {
            layers.push(layer);
        }
    }
    let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
    let stored = sum(&mut layers.iter().map(|layer| layer.size()));
    let unpacked = sum(&mut layers.iter().map(|layer| unpacked(layer)));
    let compressed = stored.saturating_add(manifest.config().size()).saturating_add(manifest_bytes);
    Size { compressed, on_disk: compressed.saturating_add(unpacked) }
}

fn unpacked(layer: &Descriptor) -> u64 {
    let (times, per) = UNPACKED;
    match layer.media_type().to_string().ends_with(".tar") {
        true => layer.size(),
        false => layer.size().saturating_mul(times) / per,
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::image::MediaType;
    use serde_json::json;

    use super::*;

    fn of(layers: &[(&str, &str, u64)]) -> Size {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let layer = |(digit, kind, size): &(&str, &str, u64)| {
            let media_type = format!("application/vnd.oci.image.layer.v1.{kind}");
            json!({"mediaType": media_type, "digest": digest(digit), "size": size})
        };
        let config = MediaType::ImageConfig.to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "config": {"mediaType": config, "digest": digest("0"), "size": 100},
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        });
        size(&serde_json::from_value(manifest).unwrap(), 10)
    }

    #[test]
    fn a_layer_counts_once_and_unpacked_by_how_it_is_stored() {
        let size = of(&[("1", "tar+gzip", 1000), ("2", "tar", 500), ("1", "tar+gzip", 1000)]);
        let compressed = 10 + 100 + 1000 + 500;
        assert_eq!(size, Size { compressed, on_disk: compressed + 2500 + 500 });
        assert_eq!(of(&[("1", "tar+zstd", 10)]).on_disk, 10 + 100 + 10 + 25);
    }

    #[test]
    fn absurd_sizes_do_not_wrap_around() {
        let most = Size { compressed: u64::MAX, on_disk: u64::MAX };
        assert_eq!(of(&[("1", "tar+gzip", u64::MAX), ("2", "tar", u64::MAX)]), most);
    }
}
