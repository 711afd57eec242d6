//! Before onepull is deleted, its agents take it off their nodes. The test does what the DaemonSet's controller
//! and kubelets would.

use std::{path::Path, time::Duration};

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Node, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use onepull_controller::uninstall::{Config, Outcome, UninstallError, uninstall};
use serde_json::{Value, json};

use crate::{
    stage::{SYSTEM, Stage},
    tokens::AGENT,
};

/// What an agent runs, before and after.
const SERVES: &[&str] = &["serve"];
const UNINSTALLS: &[&str] = &["uninstall", "--stay", "--data-dir-parent=/run/onepull/data-parent"];

fn config(seconds: u64) -> Config {
    let limit = Duration::from_secs(seconds);
    Config { namespace: SYSTEM.into(), limit, stalled: Duration::from_secs(1) }
}

impl Stage {
    /// Runs it as the hook does: with the rights that are there for that.
    async fn uninstall(&self, config: &Config) -> Result<Outcome, UninstallError> {
        let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/uninstall");
        self.kubectl(&["create", "-k", &hook.to_string_lossy()]).await;
        let token = ["create", "token", "onepull-uninstall", "--namespace", SYSTEM];
        let client = self.client_with(self.kubectl(&token).await.trim()).await;
        uninstall(client, config).await
    }

    fn daemon_sets(&self) -> Api<DaemonSet> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    async fn daemon_set(&self) -> DaemonSet {
        self.daemon_sets().get(AGENT).await.unwrap()
    }

    async fn agents_are_told(&self) -> bool {
        let daemon_set = self.daemon_set().await;
        let pod = daemon_set.spec.template.spec.unwrap();
        pod.containers[0].args.as_deref().unwrap() == UNINSTALLS
    }

    /// What the DaemonSet's controller says of it.
    async fn count(&self, wanted: usize, updated: usize, ready: usize) {
        let generation = self.daemon_set().await.metadata.generation;
        let status = json!({"status": {
            "observedGeneration": generation, "desiredNumberScheduled": wanted,
            "currentNumberScheduled": wanted, "numberMisscheduled": 0,
            "updatedNumberScheduled": updated, "numberReady": ready, "numberAvailable": ready,
        }});
        let params = PatchParams::default();
        self.daemon_sets().patch_status(AGENT, &params, &Patch::Merge(status)).await.unwrap();
    }

    pub(crate) async fn agent_pod(&self, node: &str, args: &[&str], ready: bool) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), SYSTEM);
        let name = format!("{AGENT}-{node}");
        let labels = json!({
            "app.kubernetes.io/name": "onepull", "app.kubernetes.io/component": "agent",
        });
        let spec = json!({
            "nodeName": node, "serviceAccountName": AGENT,
            "containers": [{"name": "agent", "image": "none", "args": args}],
        });
        let pod = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
        let status = condition(ready);
        pods.patch_status(&name, &PatchParams::default(), &status).await.unwrap();
    }

    async fn loses(&self, node: &str) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let params = PatchParams::default();
        nodes.patch_status(node, &params, &condition(false)).await.unwrap();
    }
}

fn condition(ready: bool) -> Patch<Value> {
    let status = if ready { "True" } else { "False" };
    Patch::Strategic(json!({"status": {"conditions": [{"type": "Ready", "status": status}]}}))
}

/// Takes the one that is looked for out of a list.
fn taken<T: serde::Serialize>(list: &mut Option<Vec<T>>, is: impl Fn(&T) -> bool) -> Value {
    let list = list.as_mut().unwrap();
    let index = list.iter().position(is).unwrap();
    serde_json::to_value(list.remove(index)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_told_to_uninstall_and_are_waited_for() {
    let Some(stage) = Stage::set("agents are told to uninstall").await else { return };
    let before = stage.daemon_set().await.spec;
    stage.count(2, 2, 2).await;
    let config = config(60);
    let nodes = async {
        stage.eventually("agents are told", async || stage.agents_are_told().await).await;
        stage.count(2, 0, 0).await;
        stage.count(2, 1, 2).await;
        stage.count(2, 2, 2).await;
    };
    let (outcome, ()) = tokio::join!(stage.uninstall(&config), nodes);
    assert_eq!(outcome.unwrap(), Outcome { done: 2, away: Vec::new() });

    let mut expected = before;
    let update = expected.update_strategy.as_mut().unwrap().rolling_update.as_mut().unwrap();
    update.max_unavailable = Some(serde_json::from_value("100%".into()).unwrap());
    let pod = expected.template.spec.as_mut().unwrap();
    pod.containers[0].args = Some(UNINSTALLS.iter().map(ToString::to_string).collect());
    let mut found = stage.daemon_set().await.spec;
    let seen = found.template.spec.as_mut().unwrap();
    let (volumes, mounts) = (&mut seen.volumes, &mut seen.containers[0].volume_mounts);
    let volume =
        json!({"name": "data-parent", "hostPath": {"path": "/var/lib", "type": "Directory"}});
    assert_eq!(taken(volumes, |volume| volume.name == "data-parent"), volume);
    let mount = json!({"name": "data-parent", "mountPath": "/run/onepull/data-parent"});
    assert_eq!(taken(mounts, |mount| mount.name == "data-parent"), mount);
    assert_eq!(found, expected, "nothing else is changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_there_is_not_waited_for() {
    let Some(stage) = Stage::set("a node that is not there").await else { return };
    for name in ["a", "b"] {
        stage.node(name, "gpu").await;
    }
    stage.agent_pod("a", UNINSTALLS, true).await;
    stage.agent_pod("b", SERVES, true).await;
    stage.loses("b").await;
    let config = config(60);
    let nodes = async {
        stage.eventually("agents are told", async || stage.agents_are_told().await).await;
        stage.count(2, 1, 1).await;
    };
    let (outcome, ()) = tokio::join!(stage.uninstall(&config), nodes);
    assert_eq!(outcome.unwrap(), Outcome { done: 1, away: vec!["b".into()] });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_there_and_does_not_do_it_is_named() {
    let Some(stage) = Stage::set("a node that does not uninstall").await else { return };
    stage.node("a", "gpu").await;
    stage.agent_pod("a", UNINSTALLS, false).await;
    let config = config(5);
    let nodes = async {
        stage.eventually("agents are told", async || stage.agents_are_told().await).await;
        stage.count(1, 1, 0).await;
    };
    let (outcome, ()) = tokio::join!(stage.uninstall(&config), nodes);
    let error = outcome.unwrap_err().to_string();
    assert!(error.starts_with("a not done in time; see `kubectl --namespace"), "{error}");
    assert!(error.contains("helm uninstall --no-hooks"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_no_agents_there_is_nothing_to_do() {
    let Some(stage) = Stage::set("no agents").await else { return };
    stage.kubectl(&["delete", "daemonset", AGENT, "--namespace", SYSTEM]).await;
    let outcome = stage.uninstall(&config(5)).await.unwrap();
    assert_eq!(outcome, Outcome { done: 0, away: Vec::new() });
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_whose_images_were_to_be_removed_can_still_be_deleted() {
    let Some(stage) = Stage::set("caches can be deleted").await else { return };
    stage.kubectl(&["delete", "daemonset", AGENT, "--namespace", SYSTEM]).await;
    let controller = stage.controller("one").await;
    for (name, on_delete) in [("kept", "Keep"), ("removed", "Remove")] {
        let list = json!([{"images": [stage.image("v1")]}]);
        stage.cache(name, &json!({"cacheSpec": list, "onDelete": on_delete})).await;
    }
    let held = async || !stage.caches().get("removed").await.unwrap().finalizers().is_empty();
    stage.eventually("the controller holds it", held).await;
    // What its pods would do, now that there are to be none.
    drop(controller);
    stage.uninstall(&config(5)).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(stage.client.clone(), SYSTEM);
    let deployment = deployments.get("onepull-controller").await.unwrap();
    assert_eq!(deployment.spec.replicas, Some(0));
    for name in ["kept", "removed"] {
        stage.caches().delete(name, &DeleteParams::default()).await.unwrap();
        assert!(stage.caches().get_opt(name).await.unwrap().is_none(), "{name}");
    }
}
