//! An API server with the definitions, a registry with an image, nodes, and a controller.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Client, Config as KubeConfig,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use onepull_api::{ImageCache, NodeImageCache, Source};
use onepull_controller::{
    rollouts::Policy,
    serve::{Config, serve},
};
use onepull_resolve::Options;
use onepull_testbed::{
    ApiServer, Layout, Registry, Requirement, kube::Credential, layout::Spec, net::free_addresses,
    registry::Options as RegistryOptions, skip,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::agents::{self, Orders};

/// What all tests here need.
const NEEDS: [Requirement; 2] = [Requirement::Kubernetes, Requirement::Registry];

/// The namespace that onepull is installed in.
pub(crate) const SYSTEM: &str = "onepull-system";

/// A loaded machine is slow, but not this slow.
const LIMIT: Duration = Duration::from_secs(60);

/// A cluster of its own: a controller looks after all nodes that there are.
pub(crate) struct Stage {
    server: ApiServer,
    pub(crate) client: Client,
    pub(crate) registry: Registry,
    pub(crate) image: Layout,
    pub(crate) agents: Arc<Orders>,
    /// Registries that the controller asks by plain HTTP.
    pub(crate) plain_http: BTreeSet<String>,
    _agents: JoinSet<()>,
    folder: TempDir,
}

// === impl Stage ===

impl Stage {
    /// Everything is installed, but nothing runs: without nodes and without a controller. `None` where the servers are missing.
    pub(crate) async fn set(test: &str) -> Option<Self> {
        if skip(test, &NEEDS) {
            return None;
        }
        let server = ApiServer::start().await.unwrap();
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/base");
        server.kubectl(&["create", "-k", &base.to_string_lossy()]).await.unwrap();
        let crds = ["crd/imagecaches.onepull.dev", "crd/nodeimagecaches.onepull.dev"];
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
        server.kubectl(&[&wait[..], &crds].concat()).await.unwrap();
        let client = client(&server.kubeconfig()).await;
        let registry = Registry::start(RegistryOptions::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec::even(3 << 20, 3, 1);
        let image = Layout::generate(&folder.path().join("v1"), &spec).unwrap();
        registry.push(&image, "team/app", "v1").await.unwrap();
        let agents = Arc::new(Orders::new(image.bytes()));
        let (orders, mut running) = (Arc::clone(&agents), JoinSet::new());
        let agents_client = client.clone();
        running.spawn(async move { agents::run(agents_client, &orders).await });
        let plain_http = [registry.name()].into();
        let _agents = running;
        Some(Self { server, client, registry, image, agents, plain_http, _agents, folder })
    }

    /// One with three nodes and a rollout that gets no further than its begin until the agents go on.
    pub(crate) async fn begun(test: &str) -> Option<(Self, Controller)> {
        let stage = Self::set(test).await?;
        stage.agents.halt();
        for name in ["a", "b", "c"] {
            stage.node(name, "gpu").await;
        }
        let controller = stage.controller("one").await;
        stage.cache("models", &json!({"cacheSpec": [{"images": [stage.image("v1")]}]})).await;
        Some((stage, controller))
    }

    /// A ready node with this label.
    pub(crate) async fn node(&self, name: &str, pool: &str) {
        let api: Api<Node> = Api::all(self.client.clone());
        let node = json!({"metadata": {"name": name, "labels": {"pool": pool}}});
        let node: Node = serde_json::from_value(node).unwrap();
        api.create(&PostParams::default(), &node).await.unwrap();
        let now = k8s_openapi::jiff::Timestamp::now();
        let status = json!({"status": {
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }],
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "bootID": "", "machineID": "",
                "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "kubeletVersion": "", "osImage": "", "systemUUID": "",
            },
        }});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    pub(crate) async fn delete_node(&self, name: &str) {
        let api: Api<Node> = Api::all(self.client.clone());
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// A controller with the rights that it has in a cluster, until it is dropped.
    pub(crate) async fn controller(&self, identity: &str) -> Controller {
        self.controller_at(identity, None).await
    }

    /// One that hands out logins at an address.
    pub(crate) async fn controller_at(
        &self,
        identity: &str,
        logins: Option<SocketAddr>,
    ) -> Controller {
        let registries = Options {
            plain_http: self.plain_http.clone(),
            proxy_from_environment: false,
            ..Options::default()
        };
        let [admin] = free_addresses().unwrap();
        let config = Config {
            admin_listen: admin,
            namespace: SYSTEM.into(),
            identity: identity.into(),
            registries,
            policy: Policy::default(),
            logins,
        };
        let token = ["create", "token", "onepull-controller", "--namespace", SYSTEM];
        let client = self.client_with(self.kubectl(&token).await.trim()).await;
        let mut running = JoinSet::new();
        running.spawn(async move { serve(client, config).await.unwrap() });
        Controller { admin, _running: running }
    }

    /// A client that shows a token.
    pub(crate) async fn client_with(&self, token: &str) -> Client {
        client(&self.kubeconfig_with(token)).await
    }

    /// A kubeconfig with all rights.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.server.kubeconfig()
    }

    /// One that shows a token.
    pub(crate) fn kubeconfig_with(&self, token: &str) -> PathBuf {
        self.write_kubeconfig(&self.server.url(), token)
    }

    /// One for an API server that is not there.
    pub(crate) fn kubeconfig_nowhere(&self) -> PathBuf {
        let [nowhere] = free_addresses().unwrap();
        self.write_kubeconfig(&format!("https://{nowhere}"), "none")
    }

    fn write_kubeconfig(&self, url: &str, token: &str) -> PathBuf {
        let file = self.folder.path().join(format!("{:016x}.kubeconfig", rand::random::<u64>()));
        self.server.write_kubeconfig(&file, url, &Credential::token(token)).unwrap();
        file
    }

    /// The name of an image in the registry.
    pub(crate) fn image(&self, tag: &str) -> String {
        format!("{}/team/app:{tag}", self.registry.name())
    }

    /// Creates the cache `name` in the default namespace.
    pub(crate) async fn cache(&self, name: &str, spec: &Value) {
        let cache = json!({
            "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache",
            "metadata": {"name": name}, "spec": spec,
        });
        let cache: ImageCache = serde_json::from_value(cache).unwrap();
        self.caches().create(&PostParams::default(), &cache).await.unwrap();
    }

    pub(crate) fn caches(&self) -> Api<ImageCache> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.server.kubectl(arguments).await.unwrap()
    }

    /// Waits for a condition of a cache as a person does, and returns it.
    pub(crate) async fn wait_for(&self, condition: &str, name: &str) -> Condition {
        let (wanted, cache) =
            (format!("--for=condition={condition}"), format!("imagecache/{name}"));
        self.kubectl(&["wait", &wanted, "--timeout=60s", &cache]).await;
        let status = self.caches().get(name).await.unwrap().status.unwrap();
        status.conditions.into_iter().find(|one| one.type_ == condition).unwrap()
    }

    /// Pushes another image by the same tag.
    pub(crate) async fn push(&self, tag: &str, seed: u64) -> Layout {
        let folder = self.folder.path().join(format!("{tag}-{seed}"));
        let image = Layout::generate(&folder, &Spec::even(3 << 20, 3, seed)).unwrap();
        self.registry.push(&image, "team/app", tag).await.unwrap();
        image
    }

    /// Ends API server and etcd, and starts them again with what they kept.
    pub(crate) async fn restart_api_server(&mut self) {
        self.server.restart().await.unwrap();
    }

    /// The node that pulls from the registry, if one is told to.
    pub(crate) async fn seed(&self) -> Option<String> {
        let told = self.told().await;
        let is_seed = |object: &&Arc<NodeImageCache>| {
            object.spec.images.iter().any(|image| image.source == Source::Upstream)
        };
        told.iter().find(is_seed).and_then(|object| object.metadata.name.clone())
    }

    /// The digests that each node is told to hold.
    pub(crate) async fn digests(&self) -> Vec<Vec<String>> {
        let digests = |object: &Arc<NodeImageCache>| {
            object.spec.images.iter().map(|image| image.digest.clone()).collect()
        };
        self.told().await.iter().map(digests).collect()
    }

    /// What nodes are told, by name.
    pub(crate) async fn told(&self) -> Vec<Arc<NodeImageCache>> {
        let api: Api<NodeImageCache> = Api::all(self.client.clone());
        let list = api.list(&kube::api::ListParams::default()).await.unwrap();
        let mut told: Vec<_> = list.items.into_iter().map(Arc::new).collect();
        told.sort_by_key(|object| object.metadata.name.clone());
        told
    }

    /// Waits until `reached`.
    pub(crate) async fn eventually(&self, what: &str, mut reached: impl AsyncFnMut() -> bool) {
        let end = Instant::now() + LIMIT;
        while !reached().await {
            let told = || async {
                self.kubectl(&["get", "imagecaches,nodeimagecaches", "-o", "yaml"]).await
            };
            assert!(Instant::now() < end, "{what}: not in time\n{}", told().await);
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A running controller. It is killed when this is dropped.
pub(crate) struct Controller {
    admin: SocketAddr,
    _running: JoinSet<()>,
}

// === impl Controller ===

impl Controller {
    /// A page of its admin listener, once it listens.
    pub(crate) async fn page(&self, path: &str) -> String {
        let end = Instant::now() + LIMIT;
        let mut stream = loop {
            match TcpStream::connect(self.admin).await {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < end, "it does not listen: {error}"),
            }
            sleep(Duration::from_millis(50)).await;
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The value of a series, if it is shown.
    pub(crate) async fn metric(&self, series: &str) -> Option<u64> {
        let page = self.page("/metrics").await;
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        value.parse().ok()
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = KubeConfig::from_custom_kubeconfig(read, &options);
    Client::try_from(config.await.unwrap()).unwrap()
}
