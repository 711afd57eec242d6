//! What an image consists of, and which of an index's images is for this node.

use std::collections::HashSet;

use onepull_mirror::{
    Digest,
    manifest::{MOST_CHILDREN, Manifest},
};
use serde::Deserialize;
use thiserror::Error;

/// A system that runs images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    /// As Go names it.
    pub(crate) architecture: &'static str,
    /// The variants that it runs, best first; the empty one is what is written without a variant.
    pub(crate) variants: &'static [&'static str],
}

/// What a manifest's bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// One image for each platform.
    Index(Vec<Entry>),
    /// An image: its config, and its layers in their order, each once.
    Image(Blob, Vec<Layer>),
    /// An image that no node takes.
    TooManyLayers(TooManyLayers),
}

/// How many layers an image has that has more than are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it lists {0} layers; at most {MOST_CHILDREN} are allowed")]
pub(crate) struct TooManyLayers(usize);

/// An image in an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    digest: Digest,
    os: String,
    architecture: String,
    variant: String,
}

/// A blob of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Layer {
    pub(crate) blob: Blob,
    /// How it is packed.
    pub(crate) media_type: String,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
    #[serde(default, rename = "mediaType")]
    media_type: String,
    platform: Option<PlatformField>,
}

#[derive(Default, Deserialize)]
struct PlatformField {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

// === impl Contents ===

impl Contents {
    /// Reads a manifest; `None` when it is none, or names a digest of an unknown kind.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        // What the mirror would not serve is of no use here either.
        Manifest::parse(bytes)?;
        let Document { config, layers, manifests } = serde_json::from_slice(bytes).ok()?;
        if let Some(manifests) = manifests {
            return Some(Self::Index(
                manifests.into_iter().filter_map(Descriptor::entry).collect(),
            ));
        }
        let layers = layers?;
        if layers.len() > MOST_CHILDREN {
            return Some(Self::TooManyLayers(TooManyLayers(layers.len())));
        }
        let (mut each, mut known) = (Vec::new(), HashSet::new());
        for layer in layers {
            let layer = Layer { blob: layer.blob()?, media_type: layer.media_type };
            if known.insert(layer.clone()) {
                each.push(layer);
            }
        }
        Some(Self::Image(config?.blob()?, each))
    }
}

impl Descriptor {
    fn blob(&self) -> Option<Blob> {
        Some(Blob { digest: self.digest.parse().ok()?, size: self.size })
    }

    fn entry(self) -> Option<Entry> {
        let digest = self.digest.parse().ok()?;
        let PlatformField { os, architecture, variant } = self.platform.unwrap_or_default();
        Some(Entry { digest, os, architecture, variant })
    }
}

/// The digests of an image's layers unpacked, from the lowest, as its config tells them.
pub(crate) fn diffs(config: &[u8]) -> Option<Vec<Digest>> {
    let Config { rootfs } = serde_json::from_slice(config).ok()?;
    rootfs.diff_ids.iter().map(|digest| digest.parse().ok()).collect()
}

// === impl Platform ===

impl Platform {
    /// That of this program. A 64-bit ARM is v8 whether or not that is written, and an old amd64 runs
    /// only what is written for no variant or the first.
    pub(crate) const fn of_this_node() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self { architecture: "arm64", variants: &["v8", ""] }
        } else if cfg!(target_arch = "arm") {
            Self { architecture: "arm", variants: &["v7", "", "v6", "v5"] }
        } else if cfg!(target_arch = "x86_64") {
            Self { architecture: "amd64", variants: &["", "v1"] }
        } else {
            Self { architecture: std::env::consts::ARCH, variants: &[""] }
        }
    }

    /// The image of an index that the runtime would choose: the best variant, the first of equals. An
    /// index of one image that says no platform means that one.
    pub(crate) fn choose(&self, entries: &[Entry]) -> Option<Digest> {
        if let [Entry { digest, os, .. }] = entries
            && os.is_empty()
        {
            return Some(*digest);
        }
        let rank = |entry: &Entry| {
            let fits = entry.os == "linux" && entry.architecture == self.architecture;
            self.variants.iter().position(|variant| fits && *variant == entry.variant)
        };
        let ranked = entries.iter().filter_map(|entry| Some((rank(entry)?, entry.digest)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, digest)| digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM: Platform = Platform { architecture: "arm", variants: &["v7", "", "v6"] };

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    fn index(platforms: &[&str]) -> Vec<Entry> {
        let entry = |platform: &&str| {
            let fields = ["os", "architecture", "variant"].iter().zip(platform.split('/'));
            let fields: Vec<_> = fields.map(|(key, it)| format!("\"{key}\":\"{it}\"")).collect();
            let (digest, fields) = (digest(platform), fields.join(","));
            format!(r#"{{"digest":"{digest}","size":1,"platform":{{{fields}}}}}"#)
        };
        let entries = platforms.iter().map(entry).collect::<Vec<_>>().join(",");
        let json = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        match Contents::parse(json.as_bytes()) {
            Some(Contents::Index(entries)) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_best_variant_that_a_node_runs_is_chosen() {
        let all = index(&["linux/amd64", "linux/arm/v6", "linux/arm/v7", "windows/arm/v7"]);
        assert_eq!(ARM.choose(&all), Some(digest("linux/arm/v7")));
        assert_eq!(ARM.choose(&all[..2]), Some(digest("linux/arm/v6")));
        assert_eq!(ARM.choose(&all[..1]), None);
        let attested = index(&["linux/arm", "unknown/unknown"]);
        assert_eq!(ARM.choose(&attested), Some(digest("linux/arm")));
        assert_eq!(ARM.choose(&attested[1..]), None, "an attestation is no image");
    }

    #[test]
    fn a_layer_that_is_listed_twice_is_one_blob() {
        let blob = |text| format!(r#"{{"digest":"{}","size":9}}"#, digest(text));
        let layers = ["a", "b", "a"].map(blob).join(",");
        let json = format!(r#"{{"schemaVersion":2,"config":{},"layers":[{layers}]}}"#, blob("c"));
        let blob = |text| Blob { digest: digest(text), size: 9 };
        let layer = |text| Layer { blob: blob(text), media_type: String::new() };
        let image = Contents::Image(blob("c"), vec![layer("a"), layer("b")]);
        assert_eq!(Contents::parse(json.as_bytes()), Some(image));
    }

    #[test]
    fn an_image_of_absurdly_many_layers_is_refused_in_a_sentence() {
        let blob = |number: usize| {
            let digest = digest(&number.to_string());
            format!(r#"{{"digest":"{digest}","size":9}}"#)
        };
        let parse = |count: usize| {
            let layers = (0..count).map(blob).collect::<Vec<_>>().join(",");
            let config = blob(count);
            let json = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
            Contents::parse(json.as_bytes())
        };
        match parse(MOST_CHILDREN) {
            Some(Contents::Image(_, layers)) => assert_eq!(layers.len(), MOST_CHILDREN),
            other => panic!("{other:?}"),
        }
        let refusal = match parse(MOST_CHILDREN + 1) {
            Some(Contents::TooManyLayers(refusal)) => refusal.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal, "it lists 1025 layers; at most 1024 are allowed");
    }

    #[test]
    fn a_config_names_its_layers_unpacked() {
        let (lower, upper) = (digest("a"), digest("b"));
        let config =
            |diffs: &str| format!(r#"{{"rootfs":{{"type":"layers","diff_ids":[{diffs}]}}}}"#);
        let two = config(&format!(r#""{lower}","{upper}""#));
        assert_eq!(diffs(two.as_bytes()), Some(vec![lower, upper]));
        for json in ["{}", config(r#""x""#).as_str()] {
            assert_eq!(diffs(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn what_is_no_manifest_has_no_contents() {
        for json in ["", "{}", r#"{"schemaVersion":2,"layers":[]}"#] {
            assert_eq!(Contents::parse(json.as_bytes()), None, "{json}");
        }
    }
}
