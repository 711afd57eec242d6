//! A cluster of three nodes, its registry, and the workstation of who installs onepull.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use onepull_deploy::deploy;
use onepull_testbed::{
    Layout, Requirement, Shape,
    kube::{self, CLUSTER},
    layout::Spec,
    skip,
};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::workstation::Workstation;

/// Beside what a cluster needs.
const NEEDED: [Requirement; 3] = [Requirement::Curl, Requirement::Helm, Requirement::ImageTools];

/// Beyond this nothing is slow any more, but broken: three nodes share two cores with whatever else runs.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);

/// The registry's name, which README uses too.
pub(crate) const REGISTRY: &str = "registry.example";

/// Links are slow enough for a pull to be seen, and for the machine to keep up with all of them.
const LINK: u64 = 200_000_000;

/// How the images of the stories are made: 64 MiB in four layers.
const SIZE: u64 = 64 << 20;
const LAYERS: u64 = 4;

pub(crate) struct Cluster {
    pub(crate) workstation: Workstation,
    cluster: kube::Cluster,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// One story at a time: each has the machine for itself.
static TURN: Mutex<()> = Mutex::const_new(());

// === impl Cluster ===

impl Cluster {
    /// Starts one, unless something is missing here.
    pub(crate) async fn for_test(test: &str) -> Option<Self> {
        if skip(test, &[CLUSTER.as_slice(), &NEEDED].concat()) {
            return None;
        }
        let turn = TURN.lock().await;
        let mut cluster = kube::Cluster::start(REGISTRY).await.unwrap();
        let desk = cluster.host("desk").unwrap();
        let workstation = Workstation::start(desk, &cluster.server, cluster.names()).await;
        for name in ["node-1", "node-2", "node-3"] {
            cluster.join(name, Shape::both(LINK), &[]).await.unwrap();
        }
        cluster.store().reshape(Shape::both(LINK)).unwrap();
        Some(Self { workstation, cluster, folder: tempfile::tempdir().unwrap(), _turn: turn })
    }

    /// Adds a node whose disk has onepull's image, as one needs whose registry is away.
    pub(crate) async fn add_node_with_onepull(&mut self, name: &str) {
        let image = Layout::open(deploy().join("../target/image/layout")).unwrap();
        let images = [(&image, "registry.example/onepull:0.1.0")];
        self.cluster.join(name, Shape::both(LINK), &images).await.unwrap();
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.server.kubectl(arguments).await.unwrap()
    }

    /// What `output` says of the agents' pods on a node.
    pub(crate) async fn agents_on(&self, node: &str, output: &str) -> String {
        let node = format!("--field-selector=spec.nodeName={node}");
        let agents = "--selector=app.kubernetes.io/component=agent";
        let namespace = "--namespace=onepull-system";
        self.kubectl(&["get", "pods", namespace, agents, &node, "--output", output]).await
    }

    /// An image with a program that waits; images of different seeds have only that in common.
    pub(crate) async fn push(&self, repository: &str, tag: &str, seed: u64) -> Layout {
        self.push_of(SIZE, repository, tag, seed).await
    }

    /// One of about `size` bytes more than the program.
    pub(crate) async fn push_of(
        &self,
        size: u64,
        repository: &str,
        tag: &str,
        seed: u64,
    ) -> Layout {
        let folder = self.folder.path().join(format!("{seed}"));
        let image = Layout::waiting(&folder, &Spec::even(size, LAYERS, seed)).unwrap();
        self.registry.push(&image, repository, tag).await.unwrap();
        image
    }

    /// Bytes that the registry has sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.store().traffic().unwrap().tx
    }

    /// On how many nodes containerd lists an image.
    pub(crate) async fn holders(&self, image: &str) -> Vec<&str> {
        let mut holders = Vec::new();
        for node in &self.nodes {
            let mut cri = node.containerd().cri().await.unwrap();
            if cri.image_status(image).await.unwrap().is_some() {
                holders.push(node.name());
            }
        }
        holders
    }
}

impl Deref for Cluster {
    type Target = kube::Cluster;

    fn deref(&self) -> &kube::Cluster {
        &self.cluster
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut kube::Cluster {
        &mut self.cluster
    }
}
