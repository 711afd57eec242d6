//! What one node pulled, the others get from it.

use onepull_testbed::{Podman, Requirement, Shape, skip};

use crate::{
    cluster::Cluster,
    pulling::{NEEDS, VERSIONS},
};

/// What tag lookups and manifests' HEADs cost, beside the blobs.
const SMALL_TALK: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn the_second_node_takes_no_blob_from_the_registry() {
    if skip("the_second_node_takes_no_blob_from_the_registry", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let (cluster, seed, node) = Cluster::with_seed(version, Shape::OPEN).await;
        let before = cluster.egress();
        node.pull(&cluster.by_tag()).await.unwrap();
        cluster.assert_complete(&node).await;

        let egress = cluster.egress() - before;
        assert!(egress < SMALL_TALK, "{version:?}: the registry sent {egress} bytes again");
        let image = cluster.image.bytes();
        assert_eq!(seed.metric("onepull_upstream_bytes_total").await, image, "{version:?}");
        assert_eq!(node.metric("onepull_upstream_bytes_total").await, 0, "{version:?}");
        assert_eq!(node.metric("onepull_mirror_received_bytes_total").await, image);
        assert_eq!(seed.metric("onepull_peer_sent_bytes_total").await, image);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_or_containerd_serves_again_what_the_node_holds() {
    if skip("a_restarted_agent_or_containerd_serves_again_what_the_node_holds", NEEDS) {
        return;
    }
    let version = VERSIONS[1];
    let (cluster, mut seed, node) = Cluster::with_seed(version, Shape::OPEN).await;

    seed.kill_agent();
    seed.start_agent(&cluster.registry.url(), &[node.host.ip()]).await;
    seed.containerd.restart().await.unwrap();
    seed.announced(&cluster.image).await;
    let before = cluster.egress();
    node.pull(&cluster.by_tag()).await.unwrap();
    cluster.assert_complete(&node).await;
    let egress = cluster.egress() - before;
    assert!(egress < SMALL_TALK, "the registry sent {egress} bytes again");
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_by_digest_through_the_mirror_and_by_tag_from_the_registry() {
    let name = "podman_pulls_by_digest_through_the_mirror_and_by_tag_from_the_registry";
    if skip(name, &[NEEDS, &[Requirement::Podman]].concat()) {
        return;
    }
    let cluster = Cluster::with_registry_port(Some(80)).await;
    let seed = cluster.node("seed", VERSIONS[1], Shape::OPEN, &[]).await;
    let node = cluster.node("node", VERSIONS[1], Shape::OPEN, &[&seed]).await;
    seed.pull(&cluster.by_tag()).await.unwrap();
    seed.announced(&cluster.image).await;
    let registry = cluster.registry.name();
    let podman = || Podman::new(Some(&node.host), &registry, "127.0.0.1:29900").unwrap();

    let before = cluster.egress();
    podman().pull(&cluster.by_digest()).await.unwrap();
    let egress = cluster.egress() - before;
    assert!(egress < SMALL_TALK, "the registry sent {egress} bytes again");
    assert_eq!(node.metric("onepull_mirror_received_bytes_total").await, cluster.image.bytes());

    podman().pull(&cluster.by_tag()).await.unwrap();
    let egress = cluster.egress() - before;
    assert!(egress > cluster.image.bytes(), "a tag belongs to its registry");
}
