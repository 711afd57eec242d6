//! An API server with the committed definitions, shared by the tests that run at the same time.

use std::{fs, path::Path, sync::Arc};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use onepull_testbed::{ApiServer, Requirement, skip};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// The server, and a folder for what kubectl is to read.
pub(crate) struct Cluster {
    pub(crate) server: Arc<ApiServer>,
    folder: TempDir,
}

/// `None` where the servers cannot be built.
pub(crate) async fn cluster(test: &str) -> Option<Cluster> {
    if skip(test, &[Requirement::Kubernetes]) {
        return None;
    }
    let server = ApiServer::shared().await.unwrap();
    install(&server).await;
    Some(Cluster { server, folder: tempfile::tempdir().unwrap() })
}

/// Applies `deploy/chart/crds` once to each server, and waits until both are Established.
async fn install(server: &ApiServer) {
    static DONE: Mutex<[u32; 2]> = Mutex::const_new([0, 0]);
    let mut done = DONE.lock().await;
    if *done == server.pids() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/crds");
    server.kubectl(&["create", "-f", &folder.to_string_lossy()]).await.unwrap();
    let crds = ["crd/imagecaches.onepull.dev", "crd/nodeimagecaches.onepull.dev"];
    let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
    server.kubectl(&[&wait[..], &crds].concat()).await.unwrap();
    *done = server.pids();
}

pub(crate) fn image_cache(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "onepull.dev/v1alpha1",
        "kind": "ImageCache",
        "metadata": { "name": name },
        "spec": spec,
    })
}

// === impl Cluster ===

impl Cluster {
    pub(crate) async fn client(&self) -> Client {
        let read = Kubeconfig::read_from(self.server.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(read, &options);
        Client::try_from(config.await.unwrap()).unwrap()
    }

    /// What kubectl says to `text`, without keeping it.
    pub(crate) async fn try_create(&self, text: &str) -> Result<String, String> {
        self.run(&["create", "--dry-run=server"], text).await
    }

    /// Creates it, for good.
    pub(crate) async fn create(&self, object: &Value) {
        self.run(&["create"], &object.to_string()).await.unwrap();
    }

    /// What kubectl prints.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.server.kubectl(arguments).await.unwrap()
    }

    async fn run(&self, command: &[&str], text: &str) -> Result<String, String> {
        let file = self.folder.path().join("object.yaml");
        fs::write(&file, text).unwrap();
        let file = file.to_string_lossy();
        let arguments = [command, &["-f", &file]].concat();
        self.server.kubectl(&arguments).await.map_err(|error| error.to_string())
    }
}
