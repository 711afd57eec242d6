//! A registry, nodes, and an API server that tells them what to hold.

use std::{path::Path, time::Duration};

use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use onepull_agent::status::NodeStatus;
use onepull_api::{
    DesiredImage, HeldImage, NodeImageCache, NodeImageCacheSpec, NodeImageCacheStatus,
    NodeImageState, Source, UnwantedImage,
};
use onepull_testbed::{
    ApiServer, Host, Requirement, Shape, Version, deadline::eventually, kube::Options,
};
use serde_json::json;

use crate::cluster::{Cluster, Node};

/// Needed by every test here.
pub(crate) const NEEDS: &[Requirement] = &[
    Requirement::Root,
    Requirement::Iproute,
    Requirement::Registry,
    Requirement::Containerd22,
    Requirement::Kubernetes,
];

/// A loaded machine is slow, but not this slow.
const LIMIT: Duration = Duration::from_secs(120);

/// A role for one node's agent: all that it needs.
const ROLE: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "NODE"},
   "rules": [
     {"apiGroups": ["onepull.dev"], "resources": ["nodeimagecaches"], "resourceNames": ["NODE"],
      "verbs": ["get", "list", "watch"]},
     {"apiGroups": ["onepull.dev"], "resources": ["nodeimagecaches/status"],
      "resourceNames": ["NODE"], "verbs": ["patch"]}]},
  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
   "metadata": {"name": "NODE"}, "subjects": [{"kind": "User", "name": "agent-NODE"}],
   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "NODE"}},
  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
   "metadata": {"name": "NODE", "namespace": "default"},
   "rules": [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]}]},
  {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
   "metadata": {"name": "NODE", "namespace": "default"},
   "subjects": [{"kind": "User", "name": "agent-NODE"}],
   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "NODE"}}]}"#;

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) server: ApiServer,
    folder: tempfile::TempDir,
    _control: Host,
}

// === impl Stage ===

impl Stage {
    /// A registry with an image, and an API server with the definitions.
    pub(crate) async fn set() -> Self {
        let stage = Self::without_definitions().await;
        stage.define().await;
        stage
    }

    pub(crate) async fn without_definitions() -> Self {
        let cluster = Cluster::start().await;
        let control = cluster.lab.node("control", Shape::OPEN).unwrap();
        let server = ApiServer::start_with(Options { host: Some(&control) }).await.unwrap();
        Self { cluster, server, folder: tempfile::tempdir().unwrap(), _control: control }
    }

    pub(crate) async fn define(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/chart/crds");
        self.kubectl(&["create", "-f", &folder.to_string_lossy()]).await;
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
        self.kubectl(&[&wait[..], &["crd/nodeimagecaches.onepull.dev"]].concat()).await;
    }

    /// A node whose agent has the right to its own object.
    pub(crate) async fn node(&self, name: &str, shape: Shape, peers: &[&Node]) -> Node {
        self.allow(name).await;
        self.node_without_rights(name, shape, peers).await
    }

    pub(crate) async fn node_without_rights(
        &self,
        name: &str,
        shape: Shape,
        peers: &[&Node],
    ) -> Node {
        let mut node = self.cluster.bare_node(name, Version::V2_2, shape).await;
        self.start_agent(&mut node, peers).await;
        node
    }

    pub(crate) async fn start_agent(&self, node: &mut Node, peers: &[&Node]) {
        self.spawn_agent(node, peers, &[]);
        node.agent_is_ready().await;
    }

    /// The same with more flags, and without waiting until it is ready.
    pub(crate) fn spawn_agent(&self, node: &mut Node, peers: &[&Node], flags: &[&str]) {
        let name = node.host.name().to_owned();
        let file = self.folder.path().join(format!("{name}.kubeconfig"));
        let credential = self.server.credential(&format!("agent-{name}"), None).unwrap();
        let url = self.server.url_in_lab();
        self.server.write_kubeconfig(&file, &url, &credential).unwrap();
        let peers: Vec<_> = peers.iter().map(|node| node.host.ip()).collect();
        let registry = self.cluster.registry.url();
        let also = |command: &mut std::process::Command| {
            command.arg("--kube").args(flags).env("KUBECONFIG", &file);
        };
        node.spawn_agent_with(&registry, &peers, also);
    }

    pub(crate) async fn allow(&self, name: &str) {
        let file = self.folder.path().join("role.json");
        std::fs::write(&file, ROLE.replace("NODE", name)).unwrap();
        self.kubectl(&["create", "-f", &file.to_string_lossy()]).await;
    }

    /// Creates an object, as the administrator.
    pub(crate) async fn create(&self, object: &serde_json::Value) {
        let file = self.folder.path().join("object.json");
        std::fs::write(&file, object.to_string()).unwrap();
        self.kubectl(&["create", "-f", &file.to_string_lossy()]).await;
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.server.kubectl(arguments).await.unwrap()
    }

    pub(crate) async fn objects(&self) -> Api<NodeImageCache> {
        let read = Kubeconfig::read_from(self.server.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(read, &options).await.unwrap();
        Api::all(Client::try_from(config).unwrap())
    }

    /// Tells a node that has not been told anything yet.
    pub(crate) async fn tell(&self, node: &Node, spec: NodeImageCacheSpec) {
        let object = NodeImageCache::new(node.host.name(), spec);
        self.objects().await.create(&PostParams::default(), &object).await.unwrap();
    }

    /// Tells it otherwise.
    pub(crate) async fn tell_again(&self, node: &Node, spec: NodeImageCacheSpec) {
        let patch = Patch::Merge(json!({ "spec": {
            "images": spec.images, "remove": spec.remove, "zone": spec.zone,
        } }));
        let params = PatchParams::default();
        self.objects().await.patch(node.host.name(), &params, &patch).await.unwrap();
    }

    /// The cluster's image, as a controller would write it.
    pub(crate) fn image(&self, source: Source, generation: i64) -> DesiredImage {
        let refs = vec![self.cluster.by_tag(), self.another_tag()];
        let digest = self.cluster.image.manifest_digest().to_string();
        DesiredImage { refs, digest, source, generation, caches: vec!["default/app".into()] }
    }

    pub(crate) fn holds(&self, source: Source, generation: i64) -> NodeImageCacheSpec {
        NodeImageCacheSpec { images: vec![self.image(source, generation)], ..Default::default() }
    }

    /// Nobody wants the image any more.
    pub(crate) fn removes(&self) -> NodeImageCacheSpec {
        let refs = vec![self.cluster.by_tag(), self.another_tag()];
        let digest = self.cluster.image.manifest_digest().to_string();
        let remove = vec![UnwantedImage { refs, digest }];
        NodeImageCacheSpec { remove, ..Default::default() }
    }

    /// A name that the registry has never heard of: that of another cache.
    pub(crate) fn another_tag(&self) -> String {
        format!("{}/team/app:stable", self.cluster.registry.name())
    }

    /// Bytes of the image's config and layers.
    pub(crate) fn bytes(&self) -> u64 {
        let manifest = self.cluster.image.manifest_digest();
        let blobs = self.cluster.image.blobs().into_iter();
        blobs.filter(|blob| blob.digest != *manifest).map(|blob| blob.size).sum()
    }

    /// CRI lists the image by all its names.
    pub(crate) async fn assert_listed(&self, node: &Node, is_listed: bool) {
        let mut cri = node.containerd.cri().await.unwrap();
        for name in [self.cluster.by_tag(), self.another_tag(), self.cluster.by_digest()] {
            let found = cri.image_status(&name).await.unwrap();
            assert_eq!(found.is_some(), is_listed, "{name} on {}", node.host.name());
        }
    }

    /// Waits for a status of which `what` holds; returns it.
    pub(crate) async fn reports(
        &self,
        node: &Node,
        what: impl Fn(&NodeImageCacheStatus) -> bool,
    ) -> NodeImageCacheStatus {
        let objects = self.objects().await;
        let ask = async || {
            let object = objects.get(node.host.name()).await.ok()?;
            object.status.filter(|status| what(status))
        };
        match eventually("the status", LIMIT, ask).await {
            Ok(status) => status,
            Err(error) => {
                let object = objects.get(node.host.name()).await.unwrap();
                panic!("{error:#}: {:#?}\nthe agent shows {:#?}", object.status, node.shows().await)
            }
        }
    }

    /// Waits until the only image is in a state; returns it.
    pub(crate) async fn becomes(&self, node: &Node, state: NodeImageState) -> HeldImage {
        let is = |status: &NodeImageCacheStatus| status.images.iter().all(|it| it.state == state);
        let status = self.reports(node, |status| status.images.len() == 1 && is(status)).await;
        status.images.into_iter().next().unwrap()
    }
}

// === impl Node ===

impl Node {
    /// What `/status` says.
    pub(crate) async fn shows(&self) -> Option<NodeStatus> {
        let answer = self.admin("/status").await?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    /// Waits until `/status` is as described.
    pub(crate) async fn until(&self, what: impl Fn(&NodeStatus) -> bool) {
        let ask = async || self.shows().await.filter(|status| what(status));
        if let Err(error) = eventually("the agent's status", LIMIT, ask).await {
            panic!("{error:#}: {:#?}", self.shows().await);
        }
    }
}
