//! containerd is told to drop layers once they are unpacked, as EKS, Talos and kind tell it.

use std::time::Duration;

use onepull_testbed::{Layout, Shape, Version, deadline::eventually, layout::Blob, skip};

use crate::{
    cluster::{Cluster, Node},
    pulling::NEEDS,
};

/// containerd collects garbage some seconds after a pull.
const LIMIT: Duration = Duration::from_secs(60);

impl Cluster {
    async fn dropping_node(&self, name: &str, peers: &[&Node]) -> Node {
        let mut node = self.node_that_drops(true, name, Version::V2_2, Shape::OPEN).await;
        std::fs::write(node.desired_file(), "images: []\n").unwrap();
        let peers: Vec<_> = peers.iter().map(|peer| peer.host.ip()).collect();
        node.start_agent(&self.registry.url(), &peers).await;
        node
    }
}

impl Node {
    /// Waits until containerd has dropped the layers of an image.
    async fn drops(&self, image: &Layout) {
        let layers: Vec<_> = image.blobs().split_off(2);
        let dropped = async || {
            let here = self.containerd.content().await.unwrap().list().await.unwrap();
            let is_here = |layer: &Blob| here.iter().any(|(blob, _)| *blob == layer.digest);
            (!layers.iter().any(is_here)).then_some(())
        };
        eventually("the layers are dropped", LIMIT, dropped).await.unwrap();
    }
}

/// An image that nobody declared shows when containerd has collected.
#[tokio::test(flavor = "multi_thread")]
async fn layers_of_declared_images_stay_for_peers_where_containerd_drops_those_of_all_others() {
    let name =
        "layers_of_declared_images_stay_for_peers_where_containerd_drops_those_of_all_others";
    if skip(name, NEEDS) {
        return;
    }
    let cluster = Cluster::start().await;
    let (other, others) = cluster.small_layout().await;
    let mut seed = cluster.dropping_node("seed", &[]).await;
    let node = cluster.dropping_node("node", &[&seed]).await;
    for (node, source) in [(&seed, "Upstream"), (&node, "Peers")] {
        cluster.declare(node, source);
        node.is_held().await;
        node.pull(&other).await.unwrap();
        node.drops(&others).await;
        cluster.assert_warm(node).await;
    }

    seed.kill_agent();
    let late = cluster.dropping_node("late", &[&node]).await;
    cluster.declare(&late, "Peers");
    late.is_held().await;
    cluster.assert_warm(&late).await;
    cluster.assert_sent_once();

    std::fs::write(node.desired_file(), "images: []\n").unwrap();
    node.drops(&cluster.image).await;
    assert_eq!(node.leases_of_onepull().await, [""; 0]);
}
