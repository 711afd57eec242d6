use serde_json::json;

use super::*;
use crate::planner::{
    Condition, ConditionReason, Conditions, NodeCounts, Reason, Trouble, TroubleKind,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn object() -> ImageCache {
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "Resolving", "message": "",
            "lastTransitionTime": "2026-11-24T11:00:00Z",
        })
    };
    let object = json!({
        "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache",
        "metadata": { "name": "llm", "namespace": "team", "generation": 7 },
        "spec": { "cacheSpec": [{ "images": ["nginx", "r.example/app:v1"] }] },
        "status": { "conditions": [condition("Ready", "True"), condition("Progressing", "True")] },
    });
    serde_json::from_value(object).unwrap()
}

fn condition(holds: bool, reason: ConditionReason, message: &str) -> Condition {
    Condition { holds, reason, message: message.into() }
}

fn rollup() -> Rollup {
    let images =
        [("docker.io/library/nginx:latest", None), ("r.example/app:v1", Some("sha256:aa"))];
    let image = |(name, digest): (&str, Option<&str>)| ImageRollup {
        image: name.into(),
        digest: digest.map(Into::into),
        bytes: digest.map(|_| 1000),
        desired: 2,
        warm: usize::from(digest.is_some()),
        trouble: match digest {
            Some(_) => None,
            None => Some(Trouble::new(TroubleKind::RateLimited, "the registry asks to wait")),
        },
    };
    let node =
        |name: &str| NodeRollup { node: name.into(), desired: 2, warm: 1, upstream_bytes: 5 };
    Rollup {
        images: images.map(image).into(),
        nodes: NodeCounts {
            selected: 3,
            unavailable: 1,
            warm: 0,
            warming: 1,
            waiting: 0,
            failed: 1,
        },
        not_warm: vec![NotWarm {
            node: "gpu-1".into(),
            image: "docker.io/library/nginx:latest".into(),
            reason: Reason::WaitingForTurn { most: 4 },
        }],
        selected: vec![node("gpu-1"), node("gpu-2")],
        upstream_bytes: 1004,
        image_bytes: 1000,
        conditions: Conditions {
            ready: condition(false, ConditionReason::RolloutInProgress, "0 of 2"),
            progressing: condition(true, ConditionReason::Seeding, "from the registry"),
            degraded: condition(true, ConditionReason::CredentialMissing, "no secret"),
        },
        released: false,
    }
}

#[test]
fn a_rollup_is_told_in_the_words_of_the_api_and_the_names_of_the_spec() {
    let told = status(&object(), &rollup(), at("2026-11-24T12:00:00Z"));
    let condition = |kind: &str, status: &str, reason: &str, message: &str, since: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since, "observedGeneration": 7,
        })
    };
    let (now, before) = ("2026-11-24T12:00:00Z", "2026-11-24T11:00:00Z");
    let expected = json!({
        "observedGeneration": 7,
        "state": "Seeding",
        "conditions": [
            condition("Ready", "False", "RolloutInProgress", "0 of 2", now),
            condition("Progressing", "True", "Seeding", "from the registry", before),
            condition("Degraded", "True", "SecretMissing", "no secret", now),
        ],
        "counts": { "images": 2, "nodes": 3, "warm": 0, "warming": 1, "failed": 1, "unavailable": 1 },
        "images": [
            { "image": "nginx", "warm": 0, "desired": 2, "message": "the registry asks to wait" },
            { "image": "r.example/app:v1", "digest": "sha256:aa", "bytes": 1000, "warm": 1, "desired": 2 },
        ],
        "notWarmNodes": [{
            "name": "gpu-1", "reason": "WaitingForTurn", "image": "nginx",
            "message": "4 other nodes are at work, as many as rollout.maxParallel lets",
        }],
        "nodes": [
            { "name": "gpu-1", "warm": 1, "desired": 2, "upstreamBytes": 5 },
            { "name": "gpu-2", "warm": 1, "desired": 2, "upstreamBytes": 5 },
        ],
        "nodesTruncated": 1,
        "upstreamBytes": 1004,
        "upstream": "1.00x",
    });
    assert_eq!(serde_json::to_value(told).unwrap(), expected);
}

#[test]
fn upstream_says_how_often_the_registry_sent_the_images() {
    let told =
        [(0, 1000), (1005, 1000), (1000, 3000), (u64::MAX, 1), (5, 0)].map(|(s, o)| upstream(s, o));
    let told: Vec<_> = told.iter().map(Option::as_deref).collect();
    let most = format!("{}.00x", u64::MAX);
    assert_eq!(told, [Some("0.00x"), Some("1.01x"), Some("0.33x"), Some(most.as_str()), None]);
}

#[test]
fn lists_are_bounded_and_say_how_much_they_leave_out() {
    let mut large = rollup();
    let node = |n: usize| NodeRollup {
        node: format!("gpu-{n:04}").as_str().into(),
        desired: 1,
        warm: 1,
        upstream_bytes: 0,
    };
    large.selected = (0..150).map(node).collect();
    large.nodes.selected = 5_000;
    let told = status(&object(), &large, at("2026-11-24T12:00:00Z"));
    assert_eq!((told.nodes.len(), told.nodes_truncated), (MAX_LISTED, 4_900));
}

#[test]
fn what_an_image_stood_for_stays_in_the_status_until_there_is_another_answer() {
    let mut object = object();
    let before = json!({"images": [
        { "image": "docker.io/library/nginx", "digest": "sha256:bb", "bytes": 7, "warm": 2, "desired": 2 },
        { "image": "r.example/app:v1", "digest": "sha256:bb", "bytes": 7, "warm": 2, "desired": 2 },
    ]});
    object.status = serde_json::from_value(before).unwrap();
    let told = status(&object, &rollup(), at("2026-11-24T12:00:00Z"));
    let images = told.images.iter().map(|image| (image.digest.as_deref(), image.bytes));
    assert_eq!(
        images.collect::<Vec<_>>(),
        [(Some("sha256:bb"), Some(7)), (Some("sha256:aa"), Some(1000))]
    );
}

#[test]
fn sizes_are_what_the_api_server_can_store() {
    let mut huge = rollup();
    huge.upstream_bytes = u64::MAX;
    huge.images[1].bytes = Some(u64::MAX);
    huge.selected[0].upstream_bytes = u64::MAX;
    let told = status(&object(), &huge, at("2026-11-24T12:00:00Z"));
    let sizes = [told.upstream_bytes, told.nodes[0].upstream_bytes, told.images[1].bytes.unwrap()];
    assert_eq!(sizes, [1 << 53; 3]);
}
