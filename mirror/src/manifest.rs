//! What the mirror reads in a manifest: its media type and the sizes of what it names.
//!
//! A store keeps bytes, not media types, so the type is taken from the manifest itself.

use serde::Deserialize;

use crate::Digest;

/// Largest manifest that is served: what registries and the distribution specification
/// ("at least 4 MiB") agree on.
pub const LARGEST_MANIFEST: u64 = 4 * 1024 * 1024;

/// Most children that are read; images have at most 127 layers, indexes a few dozen platforms. What
/// comes after them is served all the same, only its size is not known beforehand.
pub const MOST_CHILDREN: usize = 1024;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The parts of an image manifest or index that matter to a mirror.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    /// For the `Content-Type` of the answer.
    pub media_type: String,
    /// What it names, in its order: config and layers, or manifests. At most 1024.
    pub children: Vec<Descriptor>,
}

/// A blob that a manifest names.
#[derive(Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Reference>,
    layers: Option<Vec<Reference>>,
    manifests: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    digest: String,
    size: u64,
}

impl Manifest {
    /// Reads a manifest; `None` when the bytes are none (a layer asked for as a manifest, say).
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(bytes).ok()?;
        let children = document.config.iter();
        let children = children.chain(document.layers.iter().flatten());
        let children = children.chain(document.manifests.iter().flatten());
        let media_type = match document.media_type {
            Some(media_type) if is_header_value(&media_type) => media_type,
            Some(_) => return None,
            None if document.manifests.is_some() => OCI_INDEX.to_owned(),
            None if document.layers.is_some() => OCI_MANIFEST.to_owned(),
            None => return None,
        };
        (document.schema_version == 2).then(|| Self {
            media_type,
            children: children.take(MOST_CHILDREN).filter_map(Reference::descriptor).collect(),
        })
    }
}

impl Reference {
    /// An algorithm unknown here is no reason to refuse the manifest that names it.
    fn descriptor(&self) -> Option<Descriptor> {
        Some(Descriptor { digest: self.digest.parse().ok()?, size: self.size })
    }
}

fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn media_type(json: &str) -> Option<String> {
        Manifest::parse(json.replace("HEX", HEX).as_bytes()).map(|manifest| manifest.media_type)
    }

    #[test]
    fn the_type_is_the_manifests_own_word() {
        let json = r#"{"schemaVersion":2,"mediaType":"application/x","layers":[]}"#;
        assert_eq!(media_type(json).as_deref(), Some("application/x"));
    }

    #[test]
    fn a_manifest_that_names_no_type_is_known_by_its_fields() {
        assert_eq!(media_type(r#"{"schemaVersion":2,"layers":[]}"#).as_deref(), Some(OCI_MANIFEST));
        assert_eq!(media_type(r#"{"schemaVersion":2,"manifests":[]}"#).as_deref(), Some(OCI_INDEX));
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":1,"layers":[]}"#,
            "{\"schemaVersion\":2,\"mediaType\":\"a\\r\\nb: c\",\"layers\":[]}",
        ] {
            assert_eq!(media_type(json), None, "{json}");
        }
    }

    #[test]
    fn a_manifest_that_names_absurdly_many_blobs_is_read_in_part() {
        let child = r#"{"digest":"sha256:HEX","size":9}"#.replace("HEX", HEX);
        let children = vec![child; MOST_CHILDREN + 1].join(",");
        let json = format!(r#"{{"schemaVersion":2,"layers":[{children}]}}"#);
        let manifest = Manifest::parse(json.as_bytes()).unwrap();
        assert_eq!(manifest.children.len(), MOST_CHILDREN);
    }

    #[test]
    fn config_and_layers_are_listed_in_order_with_their_sizes() {
        let json = r#"{"schemaVersion":2,"config":{"digest":"sha256:HEX","size":7},
            "layers":[{"digest":"sha256:HEX","size":9},{"digest":"new:1","size":1}]}"#;
        let manifest = Manifest::parse(json.replace("HEX", HEX).as_bytes()).unwrap();
        let sizes: Vec<_> = manifest.children.iter().map(|child| child.size).collect();
        assert_eq!(sizes, [7, 9]);
    }
}
