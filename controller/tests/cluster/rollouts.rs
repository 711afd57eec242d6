//! Rollouts from the cache to the last node.

use kube::{ResourceExt, api::DeleteParams};
use onepull_api::{NodeImageCache, Source};
use serde_json::json;

use crate::stage::Stage;

fn sources(told: &NodeImageCache) -> Vec<Source> {
    told.spec.images.iter().map(|image| image.source).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_warms_its_nodes_through_one_seed_and_ready_can_be_waited_for() {
    let Some(stage) = Stage::set("a cache warms its nodes").await else { return };
    for name in ["a", "b", "c"] {
        stage.node(name, "gpu").await;
    }
    stage.node("other", "cpu").await;
    let _controller = stage.controller("one").await;
    let image = stage.image("v1");
    let lists = json!([{"images": [image], "nodeSelector": {"pool": "gpu"}}]);
    stage.cache("models", &json!({ "cacheSpec": lists })).await;
    stage.wait_for("Ready", "models").await;

    let told = stage.told().await;
    let names: Vec<_> = told.iter().map(|object| object.name_any()).collect();
    assert_eq!(names, ["a", "b", "c", "other"], "each node has an object");
    assert_eq!(sources(&told[3]), []);
    let seeds = told.iter().filter(|object| sources(object) == [Source::Upstream]).count();
    let peers = told.iter().filter(|object| sources(object) == [Source::Peers]).count();
    assert_eq!((seeds, peers), (1, 2));
    let digest = stage.image.manifest_digest().to_string();
    assert!(told[..3].iter().all(|object| object.spec.images[0].digest == digest));
    assert!(told[..3].iter().all(|object| object.spec.images[0].refs == [stage.image("v1")]));
    let generations = told.iter().map(|object| object.metadata.generation.unwrap());
    assert!(generations.max() <= Some(3), "made, told, and no more than once told again");

    let line = stage.kubectl(&["get", "imagecaches", "--no-headers"]).await;
    assert!(line.contains("1.00x"), "{line}");
    let events = stage.kubectl(&["get", "events", "--no-headers"]).await;
    assert!(events.contains("SeedChosen") && events.contains("RolloutComplete"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_image_has_an_event_that_names_its_seed() {
    let Some(stage) = Stage::set("each image has an event").await else { return };
    stage.push("v2", 2).await;
    stage.node("a", "gpu").await;
    let _controller = stage.controller("one").await;
    let images = [stage.image("v1"), stage.image("v2")];
    stage.cache("models", &json!({"cacheSpec": [{ "images": images }]})).await;
    stage.wait_for("Ready", "models").await;
    let events = stage.kubectl(&["get", "events", "--no-headers"]).await;
    let seeds: Vec<_> = events.lines().filter(|line| line.contains("SeedChosen")).collect();
    assert_eq!(seeds.len(), 2, "{events}");
    for image in images {
        assert_eq!(seeds.iter().filter(|line| line.contains(&image)).count(), 1, "{events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_nodes_are_warmed_from_the_old_and_a_deleted_one_takes_its_object_along() {
    let Some(stage) = Stage::set("new nodes are warmed").await else { return };
    stage.node("a", "gpu").await;
    let _controller = stage.controller("one").await;
    stage.cache("models", &json!({"cacheSpec": [{"images": [stage.image("v1")]}]})).await;
    stage.wait_for("Ready", "models").await;
    stage.node("b", "gpu").await;
    stage
        .eventually("the new node is told", async || {
            stage
                .told()
                .await
                .iter()
                .any(|object| object.name_any() == "b" && sources(object) == [Source::Peers])
        })
        .await;
    stage.delete_node("a").await;
    stage
        .eventually("its object goes with the node", async || {
            let told = stage.told().await;
            told.len() == 1 && told[0].name_any() == "b"
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_controller_goes_on_where_one_was_killed_although_the_tag_has_moved() {
    let Some(stage) = Stage::set("another controller goes on").await else { return };
    stage.node("a", "gpu").await;
    let first = stage.controller("one").await;
    stage.cache("models", &json!({"cacheSpec": [{"images": [stage.image("v1")]}]})).await;
    stage.wait_for("Ready", "models").await;
    drop(first);
    let other = stage.push("v1", 2).await;
    assert_ne!(other.manifest_digest(), stage.image.manifest_digest());
    let _second = stage.controller("two").await;
    stage.node("b", "gpu").await;
    let digest = stage.image.manifest_digest().to_string();
    stage
        .eventually("the new node is told the digest of the rollout", async || {
            let told = stage.told().await;
            told.iter().any(|object| {
                let images = &object.spec.images;
                object.name_any() == "b"
                    && images.len() == 1
                    && images[0].digest == digest
                    && images[0].source == Source::Peers
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_removes_its_images_is_gone_when_they_are() {
    let Some(stage) = Stage::set("a cache removes its images").await else { return };
    stage.node("a", "gpu").await;
    let _controller = stage.controller("one").await;
    let spec = json!({"cacheSpec": [{"images": [stage.image("v1")]}], "onDelete": "Remove"});
    stage.cache("models", &spec).await;
    stage.wait_for("Ready", "models").await;
    stage
        .eventually("it is held back", async || {
            !stage.caches().get("models").await.unwrap().finalizers().is_empty()
        })
        .await;
    stage.caches().delete("models", &DeleteParams::default()).await.unwrap();
    stage
        .eventually("it is let go", async || {
            stage.caches().get_opt("models").await.unwrap().is_none()
        })
        .await;
    stage
        .eventually("the node is told nothing any more", async || {
            stage.told().await.iter().all(|object| object.spec.images.is_empty())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_is_named_with_what_to_do() {
    let Some(stage) = Stage::set("an image that does not exist").await else { return };
    stage.node("a", "gpu").await;
    let _controller = stage.controller("one").await;
    stage.cache("models", &json!({"cacheSpec": [{"images": [stage.image("v2")]}]})).await;
    let degraded = stage.wait_for("Degraded", "models").await;
    assert_eq!(degraded.reason, "ImageNotFound");
    assert!(degraded.message.contains(&stage.image("v2")), "{}", degraded.message);
    let events = stage.kubectl(&["get", "events", "--no-headers"]).await;
    assert!(events.contains("ImageNotFound") && events.contains("Warning"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_pull_secret_is_named() {
    let Some(stage) = Stage::set("a missing pull secret").await else { return };
    stage.node("a", "gpu").await;
    let _controller = stage.controller("one").await;
    let lists = json!([{"images": [stage.image("v1")]}]);
    let spec = json!({"cacheSpec": lists, "imagePullSecrets": [{"name": "registry-creds"}]});
    stage.cache("models", &spec).await;
    let degraded = stage.wait_for("Degraded", "models").await;
    assert_eq!(degraded.reason, "SecretMissing");
    assert!(degraded.message.contains("default/registry-creds"), "{}", degraded.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_that_matches_nothing_is_ready() {
    let Some(stage) = Stage::set("a selector that matches nothing").await else { return };
    stage.node("a", "gpu").await;
    let _controller = stage.controller("one").await;
    let lists = json!([{"images": [stage.image("v1")], "nodeSelector": {"pool": "none"}}]);
    stage.cache("models", &json!({ "cacheSpec": lists })).await;
    assert_eq!(stage.wait_for("Ready", "models").await.reason, "NoNodesSelected");
}
