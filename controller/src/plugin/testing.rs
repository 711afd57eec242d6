//! Objects for tests, and golden files. `UPDATE_GOLDEN=1 cargo test -p onepull-controller` writes the files anew;
//! read the difference before you commit it.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use onepull_api::{
    DesiredImage, Disk, HeldImage, ImageCache, NodeImageCache, NodeImageCacheSpec,
    NodeImageCacheStatus, NodeImageState, Source,
};
use serde_json::json;

use super::pool::Place;

const MIB: u64 = 1 << 20;

/// A noon in November.
pub(crate) fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// So many seconds after it.
pub(crate) fn later(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

/// Compares with a golden file.
pub(crate) fn check(name: &str, text: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plugin");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} is not what is shown", path.display());
}

/// A digest that a person can tell from others.
pub(crate) fn digest(word: &str) -> String {
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex:0<64}")
}

/// The name of an image.
pub(crate) fn name(word: &str) -> String {
    format!("r.example/{word}:v1")
}

/// What a node is told of an image that comes from other nodes, for the cache `team/models`.
pub(crate) fn desired(word: &str) -> DesiredImage {
    DesiredImage {
        refs: vec![name(word)],
        digest: digest(word),
        source: Source::Peers,
        generation: 1,
        caches: vec!["team/models".into()],
    }
}

/// What a node reports of an image of 256 MiB.
pub(crate) fn held(word: &str, state: NodeImageState) -> HeldImage {
    let done = match state {
        NodeImageState::Warm => 256 * MIB,
        NodeImageState::Warming => 110 * MIB,
        _ => 0,
    };
    HeldImage {
        name: name(word),
        digest: digest(word),
        generation: 1,
        state,
        since: Some(Time(noon())),
        bytes_total: Some(256 * MIB),
        bytes_done: done,
        bytes_from_peers: done,
        blobs_complete: state == NodeImageState::Warm,
        ..HeldImage::default()
    }
}

/// The object of a node with an agent.
pub(crate) fn node(name: &str, told: Vec<DesiredImage>, held: Vec<HeldImage>) -> NodeImageCache {
    let spec = NodeImageCacheSpec { zone: Some("z1".into()), images: told, ..Default::default() };
    let disk = Disk { capacity_bytes: 100 << 30, available_bytes: 40 << 30 };
    let status = NodeImageCacheStatus {
        agent_version: Some("0.1.0".into()),
        disk: Some(disk),
        images: held,
        ..Default::default()
    };
    NodeImageCache { status: Some(status), ..NodeImageCache::new(name, spec) }
}

/// A node that holds or brings in an image.
pub(crate) fn node_with(name: &str, word: &str, state: NodeImageState) -> NodeImageCache {
    node(name, vec![desired(word)], vec![held(word, state)])
}

/// A node of the pool gpu.
pub(crate) fn place(name: &str) -> Place {
    let labels = [("pool".to_owned(), "gpu".to_owned())].into();
    Place {
        name: name.into(),
        labels,
        ready: true,
        since: Some(noon()),
        virtual_node: false,
        taints: Vec::new(),
    }
}

/// A cache of one image for the pool gpu of 4 nodes, in the middle of its rollout.
pub(crate) fn cache(cache: &str, image: &str) -> ImageCache {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": noon(),
        })
    };
    let word = if image.contains("app") { "app" } else { "web" };
    let conditions = [
        condition("Ready", "False", "RolloutInProgress", "1 of 4 nodes hold their images"),
        condition("Progressing", "True", "RollingOut", "nodes get the images from each other"),
        condition("Degraded", "False", "AsExpected", "nothing is wrong"),
    ];
    let image_status = json!({
        "image": image, "digest": digest(word), "bytes": 256 * MIB, "warm": 1, "desired": 4,
    });
    let entry = |name: &str, reason: &str, message: &str| json!({"name": name, "image": image, "reason": reason, "message": message});
    let not_warm = [
        entry("gpu-2", "Warming", "it is being brought in"),
        entry("gpu-3", "WaitingForSeed", "gpu-1 pulls it from the registry first"),
        entry("gpu-4", "PullStalled", "nothing has come since 2026-11-24T11:00:00Z"),
    ];
    let summary = |name: &str, warm: u32| json!({"name": name, "warm": warm, "desired": 1});
    let object = json!({
        "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache",
        "metadata": {
            "name": cache, "namespace": "team", "generation": 1, "creationTimestamp": noon(),
        },
        "spec": { "cacheSpec": [{ "images": [image], "nodeSelector": {"pool": "gpu"} }] },
        "status": {
            "observedGeneration": 1, "state": "RollingOut", "conditions": conditions,
            "counts": {
                "images": 1, "nodes": 4, "warm": 1, "warming": 1, "failed": 1, "unavailable": 0,
            },
            "images": [image_status], "notWarmNodes": not_warm,
            "nodes": [
                summary("gpu-1", 1), summary("gpu-2", 0), summary("gpu-3", 0), summary("gpu-4", 0),
            ],
            "nodesTruncated": 0, "upstreamBytes": 256 * MIB, "upstream": "1.00x",
        },
    });
    serde_json::from_value(object).unwrap()
}
