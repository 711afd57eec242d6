//! Declared images are brought, and it is reported how.

use onepull_api::{NodeCounts, NodeImageCacheSpec, NodeImageState, Source};
use onepull_testbed::{Shape, skip};

use crate::support::{NEEDS, Stage};

/// Writes for one image and rollout, and one for the disk, when that is known late.
const BUDGET: u64 = 8 + 1;

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_pulls_the_image_from_the_registry_and_another_node_gets_it_from_the_seed() {
    let name = "a_seed_pulls_the_image_from_the_registry_and_another_node_gets_it_from_the_seed";
    if skip(name, NEEDS) {
        return;
    }
    let stage = Stage::set().await;
    let seed = stage.node("seed", Shape::OPEN, &[]).await;
    let node = stage.node("node", Shape::OPEN, &[&seed]).await;
    stage.tell(&node, stage.holds(Source::Peers, 7)).await;
    stage.tell(&seed, stage.holds(Source::Upstream, 3)).await;

    let bytes = stage.bytes();
    let told = [(&seed, 3, bytes, 0), (&node, 7, 0, bytes)];
    for (node, generation, from_upstream, from_peers) in told {
        let warm = stage.becomes(node, NodeImageState::Warm).await;
        assert_eq!((warm.name.as_str(), warm.generation), (&*stage.cluster.by_tag(), generation));
        assert_eq!((warm.bytes_total, warm.bytes_done), (Some(bytes), bytes));
        assert!(warm.blobs_complete && warm.since.is_some(), "{warm:?}");
        let counted = |it: &onepull_api::NodeImageCacheStatus| {
            let it = &it.images[0];
            (it.bytes_from_upstream, it.bytes_from_peers) == (from_upstream, from_peers)
        };
        let status = stage.reports(node, counted).await;
        assert_eq!(status.counts, NodeCounts { desired: 1, warm: 1, failed: 0 });
        assert_eq!(status.observed_generation, Some(1));
        assert_eq!(status.agent_version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
        let disk = status.disk.unwrap();
        assert!(disk.capacity_bytes > disk.available_bytes && disk.available_bytes > 0, "{disk:?}");
        stage.assert_listed(node, true).await;
        stage.cluster.assert_complete(node).await;
        let writes = node.metric("onepull_kube_status_writes_total").await;
        assert!((1..=BUDGET).contains(&writes), "{writes} writes");
        assert_eq!(node.metric("onepull_images_held").await, 1);
    }
    assert_writes_nothing_but_the_status(&stage, seed.host.name()).await;
}

async fn assert_writes_nothing_but_the_status(stage: &Stage, node: &str) {
    let object = stage.objects().await.get(node).await.unwrap();
    let fields = object.metadata.managed_fields.unwrap();
    let agents = fields.iter().filter(|it| it.manager.as_deref() == Some("onepull-agent"));
    let parts: Vec<_> = agents.map(|it| it.subresource.as_deref()).collect();
    assert_eq!(parts, [Some("status")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_never_held_an_image_tells_its_disk_before_anything_is_asked_of_it() {
    let name = "a_node_that_has_never_held_an_image_tells_its_disk_before_anything_is_asked_of_it";
    if skip(name, NEEDS) {
        return;
    }
    let stage = Stage::set().await;
    let node = stage.node("node", Shape::OPEN, &[]).await;
    stage.tell(&node, NodeImageCacheSpec::default()).await;
    let status = stage.reports(&node, |status| status.disk.is_some()).await;
    assert!(status.disk.unwrap().capacity_bytes > 0 && status.images.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_the_registry_does_not_have_fails_with_its_reason_and_the_next_is_brought() {
    let name =
        "an_image_that_the_registry_does_not_have_fails_with_its_reason_and_the_next_is_brought";
    if skip(name, NEEDS) {
        return;
    }
    let stage = Stage::set().await;
    let node = stage.node("node", Shape::OPEN, &[]).await;
    let mut spec = stage.holds(Source::Upstream, 1);
    let unknown = onepull_api::DesiredImage {
        refs: vec![format!("{}/team/unknown:v1", stage.cluster.registry.name())],
        digest: format!("sha256:{}", "1".repeat(64)),
        ..stage.image(Source::Upstream, 1)
    };
    let nameless = onepull_api::DesiredImage { refs: vec!["Not A Name".into()], ..unknown.clone() };
    spec.images.splice(0..0, [unknown, nameless]);
    stage.tell(&node, spec).await;
    let counts = NodeCounts { desired: 3, warm: 1, failed: 2 };
    let status = stage.reports(&node, |status| status.counts == counts).await;
    let states: Vec<_> = status.images.iter().map(|image| (image.state, image.reason)).collect();
    let failed = |reason| (NodeImageState::Failed, Some(reason));
    let not_found = failed(onepull_api::NodeReason::ImageNotFound);
    let unknown = failed(onepull_api::NodeReason::Unknown);
    assert_eq!(states, [not_found, unknown, (NodeImageState::Warm, None)]);
    let said = status.images[1].message.as_deref().unwrap();
    assert!(said.contains("`Not A Name`"), "{said}");
}
