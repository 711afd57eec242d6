//! What the controller and the agents write comes back as they wrote it.

use k8s_openapi::{
    api::core::v1::Node,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
};
use onepull_api::{
    CacheState, ConditionReason, ConditionType, Counts, DesiredImage, Disk, FindingVerdict,
    HeldImage, ImageAnswer, ImageCache, ImageCacheSpec, ImageCacheStatus, ImageList, ImageQuestion,
    ImageStatus, NodeCounts, NodeImageCache, NodeImageCacheSpec, NodeImageCacheStatus,
    NodeImageState, NodeReason, NodeSummary, NotWarmNode, NotWarmReason, OnDelete, PlatformImage,
    Preflight, PreflightFinding, Rollout, SecretName, Share, Source, Strategy, UnwantedImage,
    Window,
};
use serde_json::json;

use crate::support::cluster;

fn digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

fn spec() -> ImageCacheSpec {
    ImageCacheSpec {
        cache_spec: vec![ImageList {
            images: vec!["r.example/app:v1".into()],
            node_selector: [("pool".into(), "gpu".into())].into(),
        }],
        image_pull_secrets: vec![SecretName { name: "creds".into() }],
        rollout: Rollout {
            strategy: Strategy::Staged,
            max_parallel: Share::Percent(25),
            ready_when: Share::Nodes(3),
            window: Some(Window {
                start: "0 22 * * *".into(),
                duration: "8h".into(),
                time_zone: "Europe/Berlin".into(),
            }),
        },
        on_delete: OnDelete::Remove,
    }
}

fn status() -> ImageCacheStatus {
    ImageCacheStatus {
        observed_generation: Some(1),
        state: CacheState::Ready,
        conditions: vec![Condition {
            type_: ConditionType::Ready.to_string(),
            status: "True".into(),
            reason: ConditionReason::EnoughNodesWarm.to_string(),
            message: "1 of 2 nodes is warm".into(),
            observed_generation: Some(1),
            last_transition_time: Time("2026-11-24T12:00:00Z".parse().unwrap()),
        }],
        counts: Counts { images: 1, nodes: 2, warm: 1, ..Default::default() },
        images: vec![ImageStatus {
            image: "r.example/app:v1".into(),
            digest: Some(digest()),
            bytes: Some(1 << 40),
            warm: 1,
            desired: 2,
            message: None,
        }],
        not_warm_nodes: vec![NotWarmNode {
            name: "b".into(),
            reason: NotWarmReason::WaitingForTurn,
            image: Some("r.example/app:v1".into()),
            message: None,
        }],
        nodes: vec![NodeSummary { name: "a".into(), warm: 1, desired: 1, upstream_bytes: 5 }],
        nodes_truncated: 1,
        upstream_bytes: 5,
        upstream: Some("1.00x".into()),
    }
}

#[tokio::test]
async fn an_image_cache_and_its_status_come_back_and_it_can_be_waited_for() {
    let name = "an_image_cache_and_its_status_come_back_and_it_can_be_waited_for";
    let Some(cluster) = cluster(name).await else { return };
    let caches = Api::<ImageCache>::namespaced(cluster.client().await, "default");
    let made = ImageCache::new("typed", spec());
    let made = caches.create(&PostParams::default(), &made).await.unwrap();
    assert_eq!((made.spec, made.status), (spec(), None));
    let patch = Patch::Apply(json!({
        "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache", "status": status(),
    }));
    let params = PatchParams::apply("test");
    let patched = caches.patch_status("typed", &params, &patch).await.unwrap();
    assert_eq!(patched.status, Some(status()));
    assert_eq!(patched.metadata.generation, Some(1));
    let wait = ["wait", "--for=condition=Ready", "imagecache/typed", "--timeout=10s"];
    cluster.kubectl(&wait).await;
}

fn told() -> NodeImageCacheSpec {
    NodeImageCacheSpec {
        zone: Some("a".into()),
        images: vec![DesiredImage {
            refs: vec!["r.example/app:v1".into()],
            digest: digest(),
            source: Source::Upstream,
            generation: 2,
            caches: vec!["default/typed".into()],
        }],
        remove: vec![UnwantedImage { refs: vec!["r.example/app:v0".into()], digest: digest() }],
        questions: vec![ImageQuestion {
            name: "r.example/private:v1".into(),
            platforms: vec!["linux/amd64".into()],
            asked: asked(),
        }],
    }
}

fn reported() -> NodeImageCacheStatus {
    NodeImageCacheStatus {
        observed_generation: Some(1),
        agent_version: Some("0.1.0".into()),
        counts: NodeCounts { desired: 1, warm: 0, failed: 1 },
        disk: Some(Disk { capacity_bytes: 1 << 40, available_bytes: 1 << 39 }),
        images: vec![HeldImage {
            name: "r.example/app:v1".into(),
            digest: digest(),
            generation: 2,
            state: NodeImageState::Failed,
            since: Some(Time("2026-11-24T12:00:00Z".parse().unwrap())),
            reason: Some(NodeReason::RateLimited),
            message: Some("the registry asks to wait for 60 s".into()),
            bytes_total: Some(1 << 34),
            bytes_done: 1 << 33,
            bytes_from_upstream: 1,
            bytes_from_peers: 2,
            blobs_complete: false,
        }],
        logins: vec!["*.example".into()],
        preflight: Some(Preflight {
            at: Time("2026-11-24T12:00:00Z".parse().unwrap()),
            findings: vec![PreflightFinding {
                check: "proof".into(),
                verdict: FindingVerdict::Problem,
                what: "containerd did not ask the mirror".into(),
                todo: Some("set config_path".into()),
            }],
        }),
        answers: vec![ImageAnswer {
            name: "r.example/private:v1".into(),
            asked: asked(),
            digest: Some(digest()),
            images: vec![PlatformImage {
                platform: "linux/amd64".into(),
                manifest: digest(),
                compressed_bytes: 1 << 34,
                disk_bytes: 1 << 35,
            }],
            reason: None,
            message: None,
        }],
        problem: None,
    }
}

fn asked() -> Time {
    Time("2026-11-24T12:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn a_node_image_cache_and_its_status_come_back_and_it_belongs_to_its_node() {
    let name = "a_node_image_cache_and_its_status_come_back_and_it_belongs_to_its_node";
    let Some(cluster) = cluster(name).await else { return };
    let client = cluster.client().await;
    let mut node = Node::default();
    node.metadata.name = Some("typed".into());
    let node = Api::all(client.clone()).create(&PostParams::default(), &node).await.unwrap();
    let mut made = NodeImageCache::new("typed", told());
    made.metadata.owner_references = node.owner_ref(&()).map(|owner| vec![owner]);
    let objects = Api::<NodeImageCache>::all(client);
    let made = objects.create(&PostParams::default(), &made).await.unwrap();
    assert_eq!(made.spec, told());
    let patch = Patch::Merge(json!({ "status": reported() }));
    let patched = objects.patch_status("typed", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.status, Some(reported()));
}

#[test]
fn a_reason_of_a_later_version_can_be_read() {
    let reason: NodeReason = serde_json::from_value(json!("InventedLater")).unwrap();
    assert_eq!(reason, NodeReason::Unknown);
}
