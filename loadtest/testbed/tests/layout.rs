//! OCI layouts: generated, opened from indexes, built from real packages.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use oci_spec::image::MediaType;
use onepull_testbed::{
    Layout, Requirement,
    containerd::audit_manifest,
    layout::{Compression, Spec, debian_layout, sha256},
    skip,
};
use serde_json::json;

fn generate(folder: &Path, seed: u64, compression: Compression) -> Layout {
    let spec = Spec { layers: vec![100_000, 5, 0], seed, compression };
    Layout::generate(folder, &spec).unwrap()
}

#[test]
fn a_generated_image_is_what_its_digests_say() {
    for compression in [Compression::None, Compression::Gzip] {
        let folder = tempfile::tempdir().unwrap();
        let layout = generate(folder.path(), 1, compression);
        let audit = audit_manifest(folder.path(), layout.manifest_digest()).unwrap();
        assert_eq!((audit.blobs, audit.bytes), (5, layout.bytes()));
        assert!((100_000..120_000).contains(&audit.bytes), "{}", audit.bytes);
    }
}

#[test]
fn the_same_seed_gives_the_same_image_and_another_seed_shares_no_content() {
    let folder = tempfile::tempdir().unwrap();
    let image = |name: &str, seed| generate(&folder.path().join(name), seed, Compression::None);
    let (one, same, other) = (image("a", 1), image("b", 1), image("c", 2));
    assert_eq!(one.blobs(), same.blobs());
    let largest = |layout: &Layout| layout.manifest().layers()[0].digest().clone();
    assert_ne!(largest(&one), largest(&other));
}

#[test]
fn the_image_for_this_platform_is_found_through_nested_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let layout = generate(folder.path(), 1, Compression::None);
    let manifest = layout.manifest_digest().to_string();
    let size = fs::metadata(layout.blob(layout.manifest_digest())).unwrap().len();
    let entry = |architecture: &str| {
        let platform = json!({"architecture": architecture, "os": "linux"});
        let media_type = MediaType::ImageManifest.to_string();
        json!({"mediaType": media_type, "digest": manifest, "size": size, "platform": platform})
    };
    let index = |entries: Vec<serde_json::Value>| {
        json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex.to_string(),
               "manifests": entries})
        .to_string()
    };
    let inner = index(vec![entry("arm64"), entry("amd64")]);
    let digest = sha256(inner.as_bytes());
    fs::write(layout.blob(&digest), &inner).unwrap();
    let outer = json!({"mediaType": MediaType::ImageIndex.to_string(),
                       "digest": digest.to_string(), "size": inner.len()});
    fs::write(folder.path().join("index.json"), index(vec![outer])).unwrap();
    let opened = Layout::open(folder.path()).unwrap();
    assert_eq!(opened.blobs(), layout.blobs());

    fs::write(folder.path().join("index.json"), index(vec![entry("arm64")])).unwrap();
    let error = Layout::open(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), "the layout names no image for linux/amd64");
}

#[test]
fn a_changed_or_lost_layer_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = generate(folder.path(), 1, Compression::None);
    let layer = layout.blob(layout.manifest().layers()[0].digest());
    let mut bytes = fs::read(&layer).unwrap();
    bytes[60_000] ^= 1;
    fs::write(&layer, bytes).unwrap();
    let error = audit_manifest(folder.path(), layout.manifest_digest()).unwrap_err();
    assert!(error.to_string().contains("are those of"), "{error:#}");
    fs::remove_file(layer).unwrap();
    let error = Layout::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("the layout lacks blob"), "{error:#}");
}

#[test]
fn an_image_of_debian_packages_has_layers_of_gzip() {
    let needs = [Requirement::Root, Requirement::ImageTools];
    if skip("an_image_of_debian_packages_has_layers_of_gzip", &needs) {
        return;
    }
    let layout = debian_layout().unwrap();
    let layers = layout.manifest().layers();
    assert!(layers.len() >= 4, "{layers:?}");
    assert!(layers.iter().all(|layer| *layer.media_type() == MediaType::ImageLayerGzip));
    assert!(layout.bytes() > 100 << 20, "{} bytes", layout.bytes());
    audit_manifest(layout.path(), layout.manifest_digest()).unwrap();
}
