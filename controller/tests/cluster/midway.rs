//! What happens in the middle of a rollout.

use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

use crate::stage::{Controller, Stage};

/// Three nodes in the middle of a rollout: one pulls from the registry, the others follow, none has it all.
async fn midway(test: &str) -> Option<(Stage, Controller)> {
    let (stage, controller) = Stage::begun(test).await?;
    all_are_told(&stage, stage.image.manifest_digest().as_ref()).await;
    Some((stage, controller))
}

async fn all_are_told(stage: &Stage, digest: &str) {
    stage
        .eventually("every node is told this digest alone", async || {
            let digests = stage.digests().await;
            digests.len() >= 3 && digests.iter().all(|told| told == &[digest])
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_cache_rolls_out_what_it_says_now() {
    let Some((stage, _controller)) = midway("an edited cache").await else { return };
    let other = stage.push("v2", 2).await;
    let spec = json!({"spec": {"cacheSpec": [{"images": [stage.image("v2")]}]}});
    stage.caches().patch("models", &PatchParams::default(), &Patch::Merge(spec)).await.unwrap();
    all_are_told(&stage, other.manifest_digest().as_ref()).await;
    stage.agents.go_on();
    assert_eq!(stage.wait_for("Ready", "models").await.observed_generation, Some(2));
    let told = stage.told().await;
    assert!(told.iter().all(|object| object.spec.images[0].refs == [stage.image("v2")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deleted_cache_nothing_is_brought_in_any_more() {
    let Some((stage, _controller)) = midway("a deleted cache").await else { return };
    stage.caches().delete("models", &DeleteParams::default()).await.unwrap();
    stage
        .eventually("no node is told anything", async || {
            stage.digests().await.iter().all(Vec::is_empty)
        })
        .await;
    assert!(stage.caches().get_opt("models").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_does_not_split_the_rollout() {
    let Some((stage, _controller)) = midway("a tag that moves").await else { return };
    let other = stage.push("v1", 2).await;
    assert_ne!(other.manifest_digest(), stage.image.manifest_digest());
    stage.node("d", "gpu").await;
    all_are_told(&stage, stage.image.manifest_digest().as_ref()).await;
    stage.agents.go_on();
    stage.wait_for("Ready", "models").await;
    let digest = stage.image.manifest_digest().to_string();
    assert_eq!(stage.digests().await, vec![vec![digest]; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_goes_on_where_the_seed_failed() {
    let Some((stage, _controller)) = midway("the seed failed").await else { return };
    let first = stage.seed().await.expect("somebody pulls");
    stage.agents.cut_off(&first);
    stage
        .eventually("another node is the seed", async || {
            stage.seed().await.is_some_and(|seed| seed != first)
        })
        .await;
    let second = stage.seed().await.expect("somebody pulls");
    let moved =
        format!("{second} goes on with {} (linux/amd64) instead of {first}", stage.image("v1"));
    stage
        .eventually("people are told", async || {
            let events = stage.kubectl(&["get", "events", "--no-headers"]).await;
            let line = events.lines().find(|line| line.contains("SeedMoved"));
            line.is_some_and(|line| {
                line.contains(&moved) && line.contains("does not answer from here")
            })
        })
        .await;
    stage.agents.go_on();
    stage.wait_for("Ready", "models").await;
    assert_eq!(stage.seed().await, Some(second), "it stays the seed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_api_server_changes_nothing() {
    let Some((mut stage, controller)) = midway("a restart of the API server").await else { return };
    let before = generations(&stage).await;
    stage.restart_api_server().await;
    stage.agents.go_on();
    stage.wait_for("Ready", "models").await;
    assert_eq!(generations(&stage).await, before, "nobody was told anything anew");
    let lists = controller.metric("onepull_controller_lists_total{resource=\"nodes\"}").await;
    assert!(lists <= Some(2), "watches go on, or begin again once: {lists:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_controller_goes_on_with_the_same_seed() {
    let Some((stage, first)) = midway("another controller goes on").await else { return };
    let (seed, before) = (stage.seed().await, generations(&stage).await);
    drop(first);
    let _second = stage.controller("two").await;
    stage.agents.go_on();
    stage.wait_for("Ready", "models").await;
    assert_eq!((stage.seed().await, generations(&stage).await), (seed, before));
}

/// How often each node was told something else, by name.
async fn generations(stage: &Stage) -> Vec<(String, Option<i64>)> {
    let told = stage.told().await;
    told.iter().map(|object| (object.name_any(), object.metadata.generation)).collect()
}
