//! Whatever happens to onepull, every pull succeeds.

use std::{fs::File, os::unix::fs::FileExt};

use onepull_testbed::{Shape, skip};
use tokio::time::{Duration, Instant};

use crate::{
    cluster::{Cluster, SLOW},
    pulling::{NEEDS, VERSIONS},
};

/// Enough that the large layer is on its way, little enough that most of it is not here yet.
const MID_PULL: u64 = 6 << 20;

/// Large layers, one more than containerd has download slots.
const WIDE: [u64; 4] = [8 << 20; 4];

/// What a small pull may take beside a stalled one: a second alone, four, and two for a busy machine.
const SMALL_PULL: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_an_agent_pulls_from_the_registry() {
    if skip("a_node_without_an_agent_pulls_from_the_registry", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let cluster = Cluster::start().await;
        // Its hosts.toml still points at the mirror: the agent was there and is gone.
        let mut node = cluster.node("node", version, Shape::OPEN, &[]).await;
        node.kill_agent();
        node.pull(&cluster.by_tag()).await.unwrap();
        cluster.assert_complete(&node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_succeeds_when_its_own_agent_is_killed_in_the_middle() {
    if skip("a_pull_succeeds_when_its_own_agent_is_killed_in_the_middle", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let (cluster, _seed, mut node) = Cluster::with_seed(version, SLOW).await;

        let (before, egress) = (node.host.traffic().unwrap().rx, cluster.egress());
        let pull = node.start_pull(cluster.by_tag()).await;
        node.received(before, MID_PULL).await;
        node.kill_agent();
        pull.await.unwrap().unwrap();
        cluster.assert_complete(&node).await;
        let egress = cluster.egress() - egress;
        assert!(egress < cluster.image.bytes(), "{version:?}: the pull went on where it was");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_succeeds_when_all_peers_vanish_in_mid_blob() {
    if skip("a_pull_succeeds_when_all_peers_vanish_in_mid_blob", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let (cluster, mut seed, node) = Cluster::with_seed(version, SLOW).await;

        let (before, egress) = (node.host.traffic().unwrap().rx, cluster.egress());
        let pull = node.start_pull(cluster.by_tag()).await;
        node.received(before, MID_PULL).await;
        seed.kill_agent();
        pull.await.unwrap().unwrap();
        cluster.assert_complete(&node).await;
        let egress = cluster.egress() - egress;
        assert!(egress < cluster.image.bytes(), "{version:?}: the pull went on where it was");
        assert!(node.metric("onepull_streams_broken_total").await > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_succeeds_when_the_peer_loses_its_power() {
    if skip("a_pull_succeeds_when_the_peer_loses_its_power", NEEDS) {
        return;
    }
    let (cluster, seed, node) = Cluster::with_seed(VERSIONS[1], SLOW).await;

    let before = node.host.traffic().unwrap().rx;
    let pull = node.start_pull(cluster.by_tag()).await;
    node.received(before, MID_PULL).await;
    // No FIN, no RST: silence.
    seed.host.cut().unwrap();
    pull.await.unwrap().unwrap();
    cluster.assert_complete(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_byte_on_a_peer_costs_at_most_one_attempt() {
    if skip("a_corrupt_byte_on_a_peer_costs_at_most_one_attempt", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let (cluster, seed, node) = Cluster::with_seed(version, Shape::OPEN).await;
        let blob = seed.containerd.blob(&cluster.large_layer().digest);
        let file = File::options().read(true).write(true).open(blob).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 9 << 20).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 9 << 20).unwrap();

        if node.pull(&cluster.by_tag()).await.is_err() {
            node.pull(&cluster.by_tag()).await.unwrap();
        }
        cluster.assert_complete(&node).await;
        assert_eq!(node.metric("onepull_verification_failures_total").await, 1, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_agent_on_another_node_fails_no_pull() {
    if skip("a_frozen_agent_on_another_node_fails_no_pull", NEEDS) {
        return;
    }
    let (cluster, mut seed, node) = Cluster::with_seed(VERSIONS[1], Shape::OPEN).await;
    seed.agent.as_mut().unwrap().signal(rustix::process::Signal::STOP).unwrap();
    node.pull(&cluster.by_tag()).await.unwrap();
    cluster.assert_complete(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_reported_as_the_registry_says_it() {
    if skip("what_does_not_exist_is_reported_as_the_registry_says_it", NEEDS) {
        return;
    }
    let cluster = Cluster::start().await;
    for version in VERSIONS {
        let name = format!("node-{version:?}").to_lowercase().replace('_', "-");
        let node = cluster.node(&name, version, Shape::OPEN, &[]).await;
        let absent = format!("sha256:{}", "0".repeat(64));
        let registry = cluster.registry.name();
        for image in [
            format!("{registry}/team/none:v1"),
            format!("{registry}/team/app:none"),
            format!("{registry}/team/app@{absent}"),
        ] {
            let error = format!("{:#}", node.pull(&image).await.unwrap_err());
            assert!(error.contains("not found"), "{image}: {error}");
        }
    }
}

/// The lead's runtime never asks the registry, as one that was frozen. The node behind it waits, and
/// takes the lead or goes to the registry before its runtime loses patience.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_behind_a_lead_that_never_starts_succeeds() {
    if skip("a_pull_behind_a_lead_that_never_starts_succeeds", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let cluster = Cluster::start().await;
        let lead = cluster.node("lead", version, Shape::OPEN, &[]).await;
        let node = cluster.node("node", version, Shape::OPEN, &[&lead]).await;
        let manifest = cluster.image.manifest_digest();
        let manifest = std::fs::read(cluster.image.blob(manifest)).unwrap();
        lead.containerd.content().await.unwrap().ingest(&manifest).await.unwrap();
        lead.announces(1).await;
        let (layer, registry) = (cluster.large_layer().digest, cluster.registry.name());
        let path = format!("/v2/team/app/blobs/{layer}?ns={registry}");
        let told = lead.mirror(&path).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 404"), "it leads: {told}");

        node.pull(&cluster.by_tag()).await.unwrap();
        cluster.assert_complete(&node).await;
    }
}

/// Nothing comes for any layer, so two requests wait and the others take turns, twice for each layer:
/// both releases bear that, and a pull that has nothing to do with it gets its slots.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_pull_beside_one_whose_layers_all_wait_is_seconds_late_at_most() {
    if skip("a_small_pull_beside_one_whose_layers_all_wait_is_seconds_late_at_most", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let cluster = Cluster::with_layers(&WIDE).await;
        let small = cluster.small_image().await;
        let lead = cluster.node("lead", version, Shape::OPEN, &[]).await;
        let node = cluster.node("node", version, Shape::OPEN, &[&lead]).await;
        let manifest = cluster.image.manifest_digest();
        let manifest = std::fs::read(cluster.image.blob(manifest)).unwrap();
        lead.containerd.content().await.unwrap().ingest(&manifest).await.unwrap();
        lead.announces(1).await;
        let layers = cluster.image.blobs().into_iter().filter(|blob| blob.size >= 8 << 20);
        for layer in layers {
            let (layer, registry) = (layer.digest, cluster.registry.name());
            let told = lead.mirror(&format!("/v2/team/app/blobs/{layer}?ns={registry}")).await;
            assert!(told.unwrap().starts_with("HTTP/1.1 404"), "it leads");
        }

        let pull = node.start_pull(cluster.by_tag()).await;
        node.waits().await;
        let started = Instant::now();
        node.pull(&small).await.unwrap();
        let took = started.elapsed();
        pull.await.unwrap().unwrap();
        cluster.assert_complete(&node).await;
        let sent_away = node.metric("onepull_mirror_requests_sent_away_total").await;
        println!("{version:?}: {took:?}, {sent_away} requests sent away");
        assert!(took < SMALL_PULL && sent_away > 1, "{version:?}: {took:?}, {sent_away}");
    }
}

/// All streams stall at once in mid-blob. One of them ends early for others, and the pull does not
/// mind.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_whose_streams_all_stall_goes_on_from_their_bytes() {
    if skip("a_pull_whose_streams_all_stall_goes_on_from_their_bytes", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let cluster = Cluster::with_layers(&WIDE).await;
        let seed = cluster.node("seed", version, Shape::OPEN, &[]).await;
        let node = cluster.node("node", version, SLOW, &[&seed]).await;
        seed.pull(&cluster.by_tag()).await.unwrap();
        seed.announced(&cluster.image).await;

        let (before, egress) = (node.host.traffic().unwrap().rx, cluster.egress());
        let pull = node.start_pull(cluster.by_tag()).await;
        node.received(before, MID_PULL).await;
        seed.host.cut().unwrap();
        pull.await.unwrap().unwrap();
        cluster.assert_complete(&node).await;
        let egress = cluster.egress() - egress;
        assert!(egress < cluster.image.bytes(), "{version:?}: the pull went on where it was");
        let sent_away = node.metric("onepull_mirror_requests_sent_away_total").await;
        println!("{version:?}: {sent_away} requests sent away");
        assert!(sent_away > 0, "{version:?}");
    }
}
