use serde_json::json;

use super::*;
use crate::{planner::Trouble, window::Gate};

/// What users of kube-fledged have, with one line changed, and all of our own.
fn object(deleting: bool) -> ImageCache {
    let mut object = json!({
        "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache",
        "metadata": {
            "name": "inference", "namespace": "team", "uid": "8a2b", "generation": 3,
            "creationTimestamp": "2026-11-24T12:00:00Z",
        },
        "spec": {
            "cacheSpec": [
                { "images": ["r.example/llama:v2", "nginx"], "nodeSelector": { "pool": "gpu" } },
                { "images": ["docker.io/library/nginx:latest"] },
            ],
            "imagePullSecrets": [{ "name": "creds" }],
            "rollout": { "strategy": "Staged", "maxParallel": "25%", "readyWhen": 3 },
            "onDelete": "Remove",
        },
    });
    if deleting {
        object["metadata"]["deletionTimestamp"] = json!("2026-11-24T13:00:00Z");
    }
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_cache_wants_what_its_spec_says_under_full_names() {
    let now = "2026-11-24T14:00:00Z".parse().unwrap();
    let trouble = Trouble::new(crate::planner::TroubleKind::RateLimited, "wait");
    let known = BTreeMap::from([(full_name("nginx"), Resolution::Failed(trouble))]);
    let (llama, nginx) = (full_name("r.example/llama:v2"), full_name("nginx"));
    let gpu = Selector::from([("pool".into(), "gpu".into())]);
    let wanted = Cache {
        id: CacheId::new("team", "inference"),
        created: "2026-11-24T12:00:00Z".parse().unwrap(),
        lists: vec![
            ImageList { images: vec![llama.clone(), nginx.clone()], selector: gpu },
            ImageList { images: vec![nginx.clone()], selector: Selector::new() },
        ],
        strategy: Strategy::Staged,
        max_parallel: Share::Percent(25),
        ready_when: Share::Nodes(3),
        gate: Gate::ALWAYS,
        on_delete: OnDelete::Remove,
        deleting: false,
        resolutions: known.clone(),
    };
    assert_eq!(cache(&object(false), known, now), wanted);
    assert_eq!(images(&object(false)), [llama, nginx]);
}

#[test]
fn a_cache_with_a_deletion_timestamp_is_being_deleted() {
    assert!(cache(&object(true), BTreeMap::new(), Timestamp::UNIX_EPOCH).deleting);
}
