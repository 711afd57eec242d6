//! What the token of a node's agent is good for, whoever has taken it.

use onepull_testbed::kube::Credential;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::cluster::Cluster;

/// As the API server calls agents.
const AGENT: &str = "system:serviceaccount:onepull-system:onepull-agent";

/// What the policy answers.
const HELD: &str = "the agent of node node-1 may not write the NodeImageCache node-2";

/// Somebody with the token that the kubelet of node-1 gave its agent.
struct Thief<'a> {
    cluster: &'a Cluster,
    token: String,
    folder: TempDir,
}

/// It reads no Secret, no pod and no node, and writes the status of its own node alone.
pub(crate) async fn opens_nothing_but_its_own_node(cluster: &Cluster) {
    let thief = Thief::of(cluster).await;
    for asked in [
        &["get", "secrets", "--namespace", "kube-system"][..],
        &["get", "secrets", "--namespace", "onepull-system"],
        &["get", "pods", "--all-namespaces"],
        &["get", "nodes"],
    ] {
        let said = thief.kubectl(asked).await.unwrap_err().to_string();
        assert!(said.contains("(Forbidden)") && said.contains(AGENT), "{asked:?}: {said}");
    }
    let seen = thief.kubectl(&["get", "nodeimagecaches", "--output", "name"]).await.unwrap();
    assert!(seen.contains("/node-1") && seen.contains("/node-2"), "{seen}");

    let refused = thief.patch_status("node-2", "").await;
    assert_eq!(refused["code"], 403, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains(HELD), "{refused}");
    // The same of its own node is let through, so nothing else was wrong with it.
    let allowed = thief.patch_status("node-1", "?dryRun=All").await;
    assert_eq!(allowed["kind"], "NodeImageCache", "{allowed}");
}

// === impl Thief ===

impl<'a> Thief<'a> {
    async fn of(cluster: &'a Cluster) -> Self {
        let uid = cluster.agents_on("node-1", "jsonpath={.items[*].metadata.uid}").await;
        let node = cluster.nodes.iter().find(|node| node.name() == "node-1").unwrap();
        let read = format!(
            "cat /var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/kube-api-access-*/token"
        );
        let token = node.machine().run("bash", &["-c", &read]).unwrap().trim().to_owned();
        Self { cluster, token, folder: tempfile::tempdir().unwrap() }
    }

    async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let server = &self.cluster.server;
        let kubeconfig = self.folder.path().join("kubeconfig");
        let credential = Credential::token(self.token.as_str());
        server.write_kubeconfig(&kubeconfig, &server.url(), &credential)?;
        // Of two such flags, the last one counts.
        let flag = format!("--kubeconfig={}", kubeconfig.display());
        server.kubectl(&[&[flag.as_str()][..], arguments].concat()).await
    }

    /// What the API server answers. kubectl would read the status first, which agents may not.
    async fn patch_status(&self, node: &str, query: &str) -> Value {
        let server = &self.cluster.server;
        let objects = format!("{}/apis/onepull.dev/v1alpha1/nodeimagecaches", server.url());
        let patch = json!({"status": {"agentVersion": "0.0.0-test"}}).to_string();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"]);
        curl.arg("--cacert").arg(server.authority()).args(["--request", "PATCH"]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        curl.args(["--header", "Content-Type: application/merge-patch+json"]);
        curl.args(["--data", &patch, &format!("{objects}/{node}/status{query}")]);
        let ended = curl.output().await.unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        serde_json::from_slice(&ended.stdout).unwrap()
    }
}
