//! What only tests of pulls do with a cluster.

use std::{net::Ipv4Addr, process::Command};

use onepull_testbed::{Layout, Requirement, Shape, Version, deadline::eventually, layout::Spec};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::cluster::{Cluster, IMAGE, LIMIT, Node};

/// Needed by every test here.
pub(crate) const NEEDS: &[Requirement] = &[
    Requirement::Root,
    Requirement::Iproute,
    Requirement::Registry,
    Requirement::Containerd16,
    Requirement::Containerd22,
];

pub(crate) const VERSIONS: [Version; 2] = [Version::V1_6, Version::V2_2];

impl Cluster {
    pub(crate) async fn with_registry_port(port: Option<u16>) -> Self {
        Self::with(port, &IMAGE).await
    }

    /// A registry whose image has `layers`.
    pub(crate) async fn with_layers(layers: &[u64]) -> Self {
        Self::with(None, layers).await
    }

    /// A seed that holds the image and is known for it, and a node on a link of `shape` beside it.
    pub(crate) async fn with_seed(version: Version, shape: Shape) -> (Self, Node, Node) {
        let cluster = Self::start().await;
        let seed = cluster.node("seed", version, Shape::OPEN, &[]).await;
        let node = cluster.node("node", version, shape, &[&seed]).await;
        seed.pull(&cluster.by_tag()).await.unwrap();
        cluster.assert_complete(&seed).await;
        seed.announced(&cluster.image).await;
        (cluster, seed, node)
    }

    /// A node whose agent joins through `bootstrap`.
    pub(crate) async fn node(
        &self,
        name: &str,
        version: Version,
        shape: Shape,
        bootstrap: &[&Node],
    ) -> Node {
        let mut node = self.bare_node(name, version, shape).await;
        let peers: Vec<_> = bootstrap.iter().map(|node| node.host.ip()).collect();
        node.start_agent(&self.registry.url(), &peers).await;
        node
    }

    /// Another image in the registry, of two small layers; its tag.
    pub(crate) async fn small_image(&self) -> String {
        self.small_layout().await.0
    }

    /// The same, and what it consists of.
    pub(crate) async fn small_layout(&self) -> (String, Layout) {
        let spec = Spec { layers: vec![50_000; 2], ..Spec::even(1 << 20, 1, 8) };
        let small = Layout::generate(&self.image.path().with_file_name("small"), &spec).unwrap();
        self.registry.push(&small, "team/small", "v1").await.unwrap();
        (format!("{}/team/small:v1", self.registry.name()), small)
    }
}

impl Node {
    pub(crate) async fn start_agent(&mut self, registry: &str, bootstrap: &[Ipv4Addr]) {
        self.start_agent_with(registry, bootstrap, |_| {}).await;
    }

    /// The same with what `also` adds to its command line.
    pub(crate) async fn start_agent_with(
        &mut self,
        registry: &str,
        bootstrap: &[Ipv4Addr],
        also: impl FnOnce(&mut Command),
    ) {
        self.spawn_agent_with(registry, bootstrap, also);
        self.agent_is_ready().await;
    }

    /// A pull that goes on while the test interferes.
    pub(crate) async fn start_pull(&self, image: String) -> JoinHandle<anyhow::Result<String>> {
        let mut cri = self.containerd.cri().await.unwrap();
        TaskTracker::new().spawn(async move { cri.pull(&image).await })
    }

    /// Waits until a request has given its download slot back because nothing came.
    pub(crate) async fn waits(&self) {
        let waits = eventually("a request that waits", LIMIT, async || {
            (self.metric("onepull_mirror_requests_sent_away_total").await > 0).then_some(())
        });
        waits.await.unwrap();
    }

    /// Waits until the node has received `bytes` more than `before`.
    pub(crate) async fn received(&self, before: u64, bytes: u64) {
        let received = eventually("the download", LIMIT, async || {
            (self.host.traffic().unwrap().rx >= before + bytes).then_some(())
        });
        received.await.unwrap();
    }
}
