//! Declared images are on their nodes before pods want them.

use std::time::Duration;

use onepull_agent::status::{ImageStatus, NodeStatus, Phase};
use onepull_testbed::{Shape, Version, deadline::eventually, skip};

use crate::{
    cluster::{Cluster, Node, SLOW},
    pulling::{NEEDS, VERSIONS},
};

/// A loaded machine is slow, but not this slow.
const LIMIT: Duration = Duration::from_secs(90);

impl Cluster {
    /// A node that is to hold what its file says, which is nothing yet.
    pub(crate) async fn warm_node(
        &self,
        name: &str,
        version: Version,
        shape: Shape,
        peer: &[&Node],
    ) -> Node {
        let mut node = self.bare_node(name, version, shape).await;
        std::fs::write(node.desired_file(), "images: []\n").unwrap();
        let peers: Vec<_> = peer.iter().map(|node| node.host.ip()).collect();
        node.start_agent(&self.registry.url(), &peers).await;
        node
    }

    pub(crate) fn declare(&self, node: &Node, source: &str) {
        let (name, digest) = (self.by_tag(), self.image.manifest_digest());
        let yaml = format!("images:\n- ref: {name}\n  digest: \"{digest}\"\n  source: {source}\n");
        std::fs::write(node.desired_file(), yaml).unwrap();
    }

    /// CRI lists the image by both names, and all of it is there.
    pub(crate) async fn assert_warm(&self, node: &Node) {
        for name in [self.by_tag(), self.by_digest()] {
            let image = node.containerd.cri().await.unwrap().image_status(&name).await.unwrap();
            assert!(image.is_some(), "{name} on {}", node.host.name());
        }
        self.assert_complete(node).await;
    }

    /// The registry sent every blob once.
    pub(crate) fn assert_sent_once(&self) {
        let asked = self.registry.requests().unwrap();
        for blob in self.image.blobs() {
            let digest = blob.digest.to_string();
            let sent = asked.iter().filter(|it| it.method == "GET" && it.target.contains(&digest));
            assert_eq!(sent.map(|it| it.bytes).sum::<u64>(), blob.size, "{digest}");
        }
    }
}

impl Node {
    async fn image(&self) -> Option<ImageStatus> {
        let answer = self.admin("/status").await?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str::<NodeStatus>(body).ok()?.images.pop()
    }

    async fn until(&self, what: impl Fn(&ImageStatus) -> bool) {
        let is = eventually("the image", LIMIT, async || self.image().await.filter(|it| what(it)));
        if let Err(error) = is.await {
            panic!("{error:#}: {:?}", self.image().await);
        }
    }

    pub(crate) async fn is_held(&self) {
        self.until(|image| image.state == Phase::Held).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_told_peers_get_the_image_in_flight_and_the_registry_sends_it_once() {
    let name = "nodes_that_are_told_peers_get_the_image_in_flight_and_the_registry_sends_it_once";
    if skip(name, NEEDS) {
        return;
    }
    for version in VERSIONS {
        let cluster = Cluster::start().await;
        let seed = cluster.warm_node("seed", version, SLOW, &[]).await;
        let one = cluster.warm_node("one", version, SLOW, &[&seed]).await;
        let two = cluster.warm_node("two", version, SLOW, &[&seed]).await;
        cluster.declare(&one, "Peers");
        cluster.declare(&two, "Peers");
        cluster.declare(&seed, "Upstream");
        one.until(|image| image.bytes_done.is_some_and(|done| done > 4 << 20)).await;
        assert_ne!(seed.image().await.unwrap().state, Phase::Held, "{version:?}: in flight");
        for node in [&seed, &one, &two] {
            node.is_held().await;
            cluster.assert_warm(node).await;
        }
        cluster.assert_sent_once();
        assert_eq!(one.metric("onepull_upstream_bytes_total").await, 0, "{version:?}");

        let mut status = two.host.command(env!("CARGO_BIN_EXE_onepull-agent"));
        let shown = status.arg("status").output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("team/app:v1") && shown.contains("100 %"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_of_an_image_that_is_being_warmed_succeeds() {
    if skip("a_pull_of_an_image_that_is_being_warmed_succeeds", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let (cluster, _seed, mut node) = Cluster::with_seed(version, SLOW).await;
        node.kill_agent();
        std::fs::write(node.desired_file(), "images: []\n").unwrap();
        node.start_agent(&cluster.registry.url(), &[_seed.host.ip()]).await;
        cluster.declare(&node, "Peers");
        node.until(|image| image.bytes_done.is_some_and(|done| done > 4 << 20)).await;
        node.pull(&cluster.by_tag()).await.unwrap();
        node.is_held().await;
        cluster.assert_warm(&node).await;
        cluster.assert_sent_once();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_told_peers_need_no_registry() {
    if skip("nodes_that_are_told_peers_need_no_registry", NEEDS) {
        return;
    }
    for version in VERSIONS {
        let mut cluster = Cluster::start().await;
        let seed = cluster.warm_node("seed", version, Shape::OPEN, &[]).await;
        let node = cluster.warm_node("node", version, Shape::OPEN, &[&seed]).await;
        cluster.declare(&seed, "Upstream");
        seed.is_held().await;
        cluster.registry.kill();
        cluster.declare(&node, "Peers");
        node.is_held().await;
        cluster.assert_warm(&node).await;
    }
}
