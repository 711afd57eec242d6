//! A cluster of three nodes, its registry, and the workstation of who installs onepull.

use std::time::Duration;

use onepull_deploy::deploy;
use onepull_testbed::{
    ApiServer, Host, Lab, Layout, Registry, Requirement, Shape,
    kube::{ControlPlane, Node, NodeOptions, Options},
    layout::Spec,
    net::Names,
    registry, skip,
};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::workstation::Workstation;

pub(crate) const NEEDED: [Requirement; 9] = [
    Requirement::Root,
    Requirement::Iproute,
    Requirement::Iptables,
    Requirement::Containerd22,
    Requirement::Kubernetes,
    Requirement::Pods,
    Requirement::Helm,
    Requirement::Registry,
    Requirement::ImageTools,
];

/// Beyond this nothing is slow any more, but broken: three nodes share two cores with whatever else runs.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);

/// The registry's name, which README uses too.
pub(crate) const REGISTRY: &str = "registry.example";

/// Links are slow enough for a pull to be seen, and for the machine to keep up with all of them.
const LINK: u64 = 200_000_000;

/// What administrators of nodes have there for a registry without TLS.
const HOSTS: &str = "# Written by hand.\nserver = \"http://registry.example\"\n";

/// How the images of the stories are made: 64 MiB in four layers.
const SIZE: u64 = 64 << 20;
const LAYERS: u64 = 4;

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) workstation: Workstation,
    pub(crate) registry: Registry,
    _control_plane: ControlPlane,
    pub(crate) server: ApiServer,
    names: Names,
    _control: Host,
    pub(crate) store: Host,
    folder: TempDir,
    lab: Lab,
    _turn: MutexGuard<'static, ()>,
}

/// One story at a time: each has the machine for itself.
static TURN: Mutex<()> = Mutex::const_new(());

// === impl Cluster ===

impl Cluster {
    /// Starts one, unless something is missing here.
    pub(crate) async fn for_test(test: &str) -> Option<Self> {
        if skip(test, &NEEDED) {
            return None;
        }
        let turn = TURN.lock().await;
        let lab = Lab::new().unwrap();
        let [control, store, desk] =
            ["control", "store", "desk"].map(|name| lab.node(name, Shape::OPEN).unwrap());
        let server = ApiServer::start_with(Options { host: Some(&control) }).await.unwrap();
        let control_plane = ControlPlane::start(&server).unwrap();
        let names = Names::start(&lab, &[(REGISTRY, store.ip())]).await.unwrap();
        let options =
            registry::Options { host: Some(&store), port: Some(80), ..Default::default() };
        let registry = Registry::start(options).await.unwrap();
        let workstation = Workstation::start(desk, &server, names.address()).await;
        let mut cluster = Self {
            nodes: Vec::new(),
            workstation,
            registry,
            _control_plane: control_plane,
            server,
            names,
            _control: control,
            store,
            folder: tempfile::tempdir().unwrap(),
            lab,
            _turn: turn,
        };
        for name in ["node-1", "node-2", "node-3"] {
            cluster.add(name, &[]).await;
        }
        cluster.store.reshape(Shape::both(LINK)).unwrap();
        Some(cluster)
    }

    /// Adds a node whose disk has onepull's image, as one needs whose registry is away.
    pub(crate) async fn add_node_with_onepull(&mut self, name: &str) {
        let image = Layout::open(deploy().join("../target/image/layout")).unwrap();
        self.add(name, &[(&image, "registry.example/onepull:0.1.0")]).await;
    }

    /// Adds a node.
    async fn add(&mut self, name: &str, images: &[(&Layout, &str)]) {
        let hosts = [(REGISTRY, HOSTS)];
        let names = Some(self.names.address());
        let options = NodeOptions { name, shape: Shape::both(LINK), names, hosts: &hosts, images };
        let node = Node::join(&self.lab, &self.server, options).await.unwrap();
        self.nodes.push(node);
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.server.kubectl(arguments).await.unwrap()
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
        self.store.traffic().unwrap().tx
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
