//! `kubectl onepull` against a real API server, as a person runs it.

use std::{path::PathBuf, process::Stdio};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use onepull_api::NodeImageCache;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::stage::{Controller, SYSTEM, Stage};

/// How a command ended: its status, what it printed, and what it complained of.
struct Ended(i32, String, String);

fn command(kubeconfig: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-onepull"));
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(kubeconfig: &PathBuf, arguments: &[&str]) -> Ended {
    let output = command(kubeconfig, arguments).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended(output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

impl Stage {
    async fn onepull(&self, arguments: &[&str]) -> Ended {
        run(&self.kubeconfig(), arguments).await
    }

    async fn onepull_json(&self, arguments: &[&str]) -> Value {
        let Ended(_, out, complaint) = self.onepull(&[arguments, &["-o", "json"]].concat()).await;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{complaint}"))
    }
}

/// Three nodes in the middle of a rollout: one pulls from the registry, the others follow, none has it all.
async fn midway(test: &str) -> Option<(Stage, Controller)> {
    let (stage, controller) = Stage::begun(test).await?;
    stage
        .eventually("all nodes say that they bring it in", async || {
            let status = stage.onepull_json(&["status", "models"]).await;
            let nodes = status["nodes"].as_array().unwrap().clone();
            nodes.len() == 3 && nodes.iter().all(|node| node["state"] == "Warming")
        })
        .await;
    Some((stage, controller))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_shown_while_it_goes_on_and_when_it_is_done() {
    let Some((stage, _controller)) = midway("a rollout is shown").await else { return };
    let Ended(status, text, _) = stage.onepull(&["status", "models"]).await;
    assert_eq!(status, 0);
    assert!(text.contains("models: ") && text.contains("0 of 3 nodes warm"), "{text}");
    assert_eq!(text.matches("Warming").count(), 3, "{text}");

    let watching = command(&stage.kubeconfig(), &["status", "models", "--watch"]).output();
    let goes_on = async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        stage.agents.go_on();
    };
    let (watched, ()) = tokio::join!(watching, goes_on);
    let watched = watched.unwrap();
    assert_eq!(watched.status.code(), Some(0), "it ends when the cache is Ready");
    let shown = String::from_utf8(watched.stdout).unwrap();
    assert!(shown.starts_with("models: "), "{shown}");
    let last = shown.rsplit_once("models: ").unwrap().1;
    assert!(last.starts_with("Ready, 3 of 3 nodes warm, upstream 1.00x"), "{last}");

    let all = stage.onepull_json(&["status", "-A"]).await;
    let cache = &all["caches"][0];
    assert_eq!(
        [&cache["namespace"], &cache["name"], &cache["state"], &cache["upstream"]],
        ["default", "models", "Ready", "1.00x"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_an_agent_is_explained() {
    let Some(stage) = Stage::set("a node without an agent").await else { return };
    stage.agents.silence("b");
    for name in ["a", "b"] {
        stage.node(name, "gpu").await;
    }
    let _controller = stage.controller("one").await;
    stage.cache("models", &json!({"cacheSpec": [{"images": [stage.image("v1")]}]})).await;
    stage
        .eventually("node a is warm", async || {
            let node = stage.onepull_json(&["explain", "node/a"]).await;
            node["images"][0]["state"] == "Warm"
        })
        .await;
    let Ended(status, text, _) = stage.onepull(&["explain", "node/b"]).await;
    assert_eq!(status, 0);
    assert!(text.starts_with("node b: Ready, 0 of 1 images warm, no agent has reported"), "{text}");
    assert!(text.contains("NoAgent: no agent has reported from the node"), "{text}");
    assert!(text.contains("next: it begins within seconds of the agent's first report"), "{text}");
    assert!(text.contains("--field-selector spec.nodeName=b"), "{text}");

    let image = format!("image/{}", stage.image("v1"));
    let image = stage.onepull_json(&["explain", &image]).await;
    assert_eq!(image["nodesWarm"], 1);
    assert_eq!(image["nodes"][1]["state"], "NoAgent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_says_by_its_status_whether_the_pool_is_warm() {
    let Some((stage, _controller)) = midway("a preflight says").await else { return };
    let image = stage.image("v1");
    let Ended(status, text, _) = stage.onepull(&["preflight", &image, "-l", "pool=gpu"]).await;
    assert_eq!(status, 1);
    assert!(text.starts_with(&format!("no: 0 of 3 nodes hold {image}\n")), "{text}");
    stage.agents.go_on();
    stage.wait_for("Ready", "models").await;
    for subject in [image.as_str(), "models"] {
        let Ended(status, text, complaint) = stage.onepull(&["preflight", subject]).await;
        assert_eq!(status, 0, "{text}{complaint}");
        assert!(text.starts_with("yes: 3 of 3 nodes hold "), "{text}");
    }
    let Ended(status, text, _) = stage.onepull(&["preflight", "nginx:1.27"]).await;
    assert_eq!((status, text.matches("NotDeclared").count()), (1, 3), "{text}");

    let Ended(status, _, complaint) = stage.onepull(&["preflight", &image, "-l", "pool=tpu"]).await;
    assert_eq!(status, 2);
    assert!(complaint.contains("no node is selected by pool=tpu"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_found_on_their_nodes_is_told_for_the_whole_cluster() {
    let Some(stage) = Stage::set("what agents found").await else { return };
    for name in ["a", "b"] {
        stage.agents.silence(name);
        stage.node(name, "gpu").await;
        stage.kubectl(&["label", "node", name, "kubernetes.io/os=linux"]).await;
        stage.agent_pod(name, &["serve"], true).await;
    }
    let Ended(status, text, _) = stage.onepull(&["check"]).await;
    assert_eq!(status, 1, "nobody leads: {text}");
    assert!(text.contains("no controller holds the lease"), "{text}");

    let _controller = stage.controller("one").await;
    stage.eventually("nodes have objects", async || stage.told().await.len() == 2).await;
    controllers_are_ready(&stage).await;
    for name in ["a", "b"] {
        report(&stage, name, &[]).await;
    }
    let Ended(status, text, _) = stage.onepull(&["check"]).await;
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("one leads") && text.contains("preflights   2 well"), "{text}");
    assert!(text.ends_with("\nNothing is wrong.\n"), "{text}");

    let finding = json!({
        "check": "config_path", "verdict": "Problem", "what": "not set: containerd reads no hosts files",
        "todo": "set it",
    });
    report(&stage, "b", &[finding]).await;
    let health = stage.onepull_json(&["check"]).await;
    let expected = json!([{
        "check": "config_path", "verdict": "problem", "what": "not set: containerd reads no hosts files",
        "todo": "set it", "nodes": ["b"],
    }]);
    assert_eq!(health["findings"], expected);
}

/// What the Deployment's controller says of it.
async fn controllers_are_ready(stage: &Stage) {
    let api: Api<Deployment> = Api::namespaced(stage.client.clone(), SYSTEM);
    let status = json!({"status": {"replicas": 2, "readyReplicas": 2}});
    let (params, patch) = (PatchParams::default(), Patch::Merge(status));
    api.patch_status("onepull-controller", &params, &patch).await.unwrap();
}

/// A node's agent reports what its preflight found.
async fn report(stage: &Stage, node: &str, findings: &[Value]) {
    let api: Api<NodeImageCache> = Api::all(stage.client.clone());
    let status = json!({"status": {
        "agentVersion": "0.1.0",
        "disk": {"capacityBytes": 1 << 30, "availableBytes": 1 << 30},
        "preflight": {"at": "2026-11-24T12:00:00Z", "findings": findings},
    }});
    api.patch_status(node, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_mistypes_a_name_lacks_a_right_or_finds_no_cluster_is_told_what_to_do() {
    let Some(stage) = Stage::set("errors say what to do").await else { return };
    stage.node("gpu-1", "gpu").await;
    stage.cache("models", &json!({"cacheSpec": [{"images": [stage.image("v1")]}]})).await;
    let says = async |arguments: &[&str], words: &str| {
        let Ended(status, out, complaint) = stage.onepull(arguments).await;
        assert_eq!((status, out.as_str()), (2, ""), "{complaint}");
        assert!(complaint.contains(words), "{complaint}");
    };
    says(
        &["status", "modles"],
        "there is no image cache modles in namespace default; did you mean models?",
    )
    .await;
    says(&["explain", "node/gpu-2"], "there is no node gpu-2; did you mean gpu-1?").await;
    says(&["explain", "models"], "is neither node/NAME nor image/REFERENCE").await;
    says(
        &["explain", "image/nginx"],
        "there is no image cache with the image docker.io/library/nginx:latest",
    )
    .await;
    says(&["status", "--context", "nowhere"], "no cluster is configured").await;
    says(&["check", "--installed-in"], "a value is required").await;
    says(&["preflight"], "required arguments were not provided").await;

    stage.kubectl(&["create", "serviceaccount", "nobody"]).await;
    let token = stage.kubectl(&["create", "token", "nobody"]).await;
    let nobody = stage.kubeconfig_with(token.trim());
    let Ended(status, _, complaint) = run(&nobody, &["status", "-A"]).await;
    assert_eq!(status, 2);
    assert!(
        complaint.contains("you may not list imagecaches.onepull.dev in all namespaces"),
        "{complaint}"
    );
    assert!(complaint.contains("system:serviceaccount:default:nobody"), "{complaint}");
    let Ended(_, _, complaint) = run(&stage.kubeconfig_with("no token"), &["status"]).await;
    assert!(complaint.contains("does not accept your credential"), "{complaint}");
    let Ended(status, _, complaint) = run(&stage.kubeconfig_nowhere(), &["status"]).await;
    assert_eq!(status, 2);
    assert!(complaint.contains("no API server answers at https://127."), "{complaint}");

    stage.kubectl(&["delete", "crd", "imagecaches.onepull.dev", "--wait=false"]).await;
    let gone = "the cluster knows no imagecaches.onepull.dev: onepull is not installed there";
    stage
        .eventually("the definition is gone", async || {
            stage.onepull(&["status"]).await.2.contains(gone)
        })
        .await;
}
