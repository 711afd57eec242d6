//! Helm installs, upgrades and removes it on a real API server. Nobody there makes pods of anything, so the test ends
//! the hook's Job itself.

use std::time::Duration;

use onepull_controller::uninstall::{ARGUMENTS, CONTAINER, DAEMON_SET};
use onepull_deploy::{NAMESPACE, helm};
use onepull_testbed::{ApiServer, Requirement, deadline::eventually, skip};
use serde_json::json;
use tokio::task::spawn_blocking;

/// A loaded machine is slow, but not this slow.
const LIMIT: Duration = Duration::from_secs(60);

/// What Helm may have made; definitions stay.
const KINDS: &str = "daemonsets,deployments,jobs,services,secrets,serviceaccounts,roles,rolebindings,\
                     clusterroles,clusterrolebindings,networkpolicies,poddisruptionbudgets,\
                     validatingadmissionpolicies,validatingadmissionpolicybindings";

struct Cluster(ApiServer);

impl Cluster {
    /// What Helm says to a command for the release.
    async fn helm(&self, command: &str, more: &[&str]) -> anyhow::Result<String> {
        let kubeconfig = self.0.kubeconfig().to_string_lossy().into_owned();
        let mut arguments = [command, "onepull"].map(str::to_owned).to_vec();
        arguments.extend(more.iter().map(ToString::to_string));
        arguments.push(format!("--kubeconfig={kubeconfig}"));
        arguments.push(format!("--namespace={NAMESPACE}"));
        let run = move || helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        spawn_blocking(run).await.unwrap()
    }

    async fn kubectl(&self, arguments: &[&str]) -> String {
        self.0.kubectl(&[&["--namespace", NAMESPACE], arguments].concat()).await.unwrap()
    }

    async fn key(&self) -> String {
        let data = "jsonpath={.data.cluster\\.key}";
        self.kubectl(&["get", "secret", "onepull-cluster-key", "-o", data]).await
    }

    /// What agents run.
    async fn arguments(&self) -> String {
        let arguments = "jsonpath={.spec.template.spec.containers[0].args}";
        self.kubectl(&["get", "daemonset", DAEMON_SET, "-o", arguments]).await
    }

    /// The names of all that Helm made.
    async fn made(&self) -> String {
        let label = ["-l", "app.kubernetes.io/name=onepull", "-o", "name"];
        self.kubectl(&[&["get", KINDS][..], &label].concat()).await
    }

    /// Waits for the hook and says that its Job has done it; all is still there then.
    async fn hook_succeeds(&self) {
        let job = async || {
            let found = self.kubectl(&["get", "jobs", "-o", "name"]).await;
            (found.trim() == "job.batch/onepull-uninstall").then_some(())
        };
        eventually("the hook", LIMIT, job).await.unwrap();
        let made = self.made().await;
        for still in ["daemonset.apps/onepull-agent", "serviceaccount/onepull-uninstall"] {
            assert!(made.contains(still), "{still}: {made}");
        }
        let condition = |kind: &str| json!({"type": kind, "status": "True"});
        let status = json!({"status": {
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
            "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:01Z",
            "succeeded": 1,
        }});
        let patch = ["patch", "job", "onepull-uninstall", "--subresource=status", "--type=merge"];
        self.kubectl(&[&patch[..], &["-p", &status.to_string()]].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_keeps_the_key_and_an_uninstall_runs_the_hook_and_leaves_only_definitions() {
    let name =
        "an_upgrade_keeps_the_key_and_an_uninstall_runs_the_hook_and_leaves_only_definitions";
    if skip(name, &[Requirement::Helm, Requirement::Kubernetes]) {
        return;
    }
    let cluster = Cluster(ApiServer::start().await.unwrap());
    let said = cluster.helm("install", &["chart", "--create-namespace"]).await.unwrap();
    assert!(said.contains("See whether it runs"), "{said}");
    let key = cluster.key().await;
    assert_eq!(key.len(), 88, "64 digits in base64");

    cluster.helm("upgrade", &["chart", "--set=agent.log=debug"]).await.unwrap();
    assert_eq!(cluster.key().await, key);
    let made = cluster.made().await;
    assert!(!made.contains("uninstall"), "no hook runs on an upgrade: {made}");

    // An uninstall that failed is taken back by an upgrade.
    let containers = json!([{"name": CONTAINER, "args": ARGUMENTS}]);
    let told = json!({"spec": {"template": {"spec": {"containers": containers}}}}).to_string();
    cluster.kubectl(&["patch", "daemonset", DAEMON_SET, "-p", &told]).await;
    assert_eq!(cluster.arguments().await, r#"["uninstall","--stay"]"#);
    cluster.helm("upgrade", &["chart", "--force-conflicts"]).await.unwrap();
    assert_eq!(cluster.arguments().await, r#"["serve"]"#);

    let (removed, ()) = tokio::join!(cluster.helm("uninstall", &[]), cluster.hook_succeeds());
    removed.unwrap();
    assert_eq!(cluster.made().await, "");
    let definitions = cluster.kubectl(&["get", "crds", "-o", "name"]).await;
    assert_eq!(definitions.matches("onepull.dev").count(), 2, "{definitions}");
}
