//! The testbed's API server against itself: it keeps what it stored, says who may do what, and is
//! reached from other hosts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use onepull_testbed::{
    ApiServer, Lab, Requirement, Shape,
    kube::{Credential, Options},
    skip,
};
use serde_json::{Value, json};

async fn client(kubeconfig: &Path) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(read, &options);
    Client::try_from(config.await.unwrap()).unwrap()
}

fn greeting() -> ConfigMap {
    let mut map =
        ConfigMap { data: Some([("word".into(), "hello".into())].into()), ..Default::default() };
    map.metadata.name = Some("greeting".into());
    map
}

#[tokio::test]
async fn an_object_is_still_there_after_a_restart() {
    let name = "an_object_is_still_there_after_a_restart";
    if skip(name, &[Requirement::Kubernetes]) {
        return;
    }
    let mut server = ApiServer::start().await.unwrap();
    let before = server.pids();
    let maps = Api::<ConfigMap>::namespaced(client(&server.kubeconfig()).await, "default");
    maps.create(&PostParams::default(), &greeting()).await.unwrap();

    server.restart().await.unwrap();

    let found = maps.get("greeting").await.unwrap();
    assert_eq!(found.data, greeting().data);
    server.kill();
    assert!(maps.get("greeting").await.is_err());
    let after = server.pids();
    drop(server);
    for pid in before.into_iter().chain(after) {
        assert!(!Path::new("/proc").join(pid.to_string()).exists(), "process {pid} still runs");
    }
}

#[tokio::test]
async fn a_user_and_a_service_account_without_a_role_read_nothing() {
    let name = "a_user_and_a_service_account_without_a_role_read_nothing";
    if skip(name, &[Requirement::Kubernetes]) {
        return;
    }
    let server = ApiServer::shared().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    server.kubectl(&["create", "serviceaccount", "agent"]).await.unwrap();
    let token = server.kubectl(&["create", "token", "agent"]).await.unwrap();
    let somebody = server.credential("somebody", None).unwrap();
    let asked_by = [
        ("somebody", somebody),
        ("system:serviceaccount:default:agent", Credential::token(token.trim())),
    ];
    for (who, credential) in asked_by {
        let file = folder.path().join("kubeconfig");
        server.write_kubeconfig(&file, &server.url(), &credential).unwrap();
        let maps = Api::<ConfigMap>::namespaced(client(&file).await, "default");
        let error = maps.list(&Default::default()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("User \"{who}\" cannot list resource")), "{error}");
    }
}

/// As a pod of a DaemonSet has it: there need not be a kubelet.
fn pod_on_a_node() -> Value {
    let meta = |name| json!({ "name": name, "namespace": "bound" });
    let containers = json!([{ "name": "agent", "image": "agent" }]);
    let spec =
        json!({ "nodeName": "node-1", "serviceAccountName": "agent", "containers": containers });
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node-1" } },
        { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "bound" } },
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("agent") },
        { "apiVersion": "v1", "kind": "Pod", "metadata": meta("agent"), "spec": spec },
    ] })
}

#[tokio::test]
async fn a_token_bound_to_a_pod_says_on_which_node_it_runs_and_for_whom_it_is() {
    let name = "a_token_bound_to_a_pod_says_on_which_node_it_runs_and_for_whom_it_is";
    if skip(name, &[Requirement::Kubernetes]) {
        return;
    }
    let server = ApiServer::shared().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.json");
    let create = async |object: &Value| {
        std::fs::write(&file, object.to_string()).unwrap();
        server.kubectl(&["create", "-o", "json", "-f", &file.to_string_lossy()]).await.unwrap()
    };
    create(&pod_on_a_node()).await;
    let ask = ["create", "token", "agent", "--namespace=bound", "--audience=example.org/x"];
    let bound = ["--bound-object-kind=Pod", "--bound-object-name=agent"];
    let token = server.kubectl(&[&ask[..], &bound].concat()).await.unwrap();
    let review = async |audience: &str| {
        let spec = json!({ "token": token.trim(), "audiences": [audience] });
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec,
        });
        serde_json::from_str::<Value>(&create(&review).await).unwrap()["status"].take()
    };
    let meant = review("example.org/x").await;
    let node = &meant["user"]["extra"]["authentication.kubernetes.io/node-name"];
    assert_eq!((&meant["authenticated"], node), (&json!(true), &json!(["node-1"])));
    assert_ne!(review("somebody.else").await["authenticated"], json!(true));
}

#[tokio::test]
async fn a_server_in_a_host_is_reached_from_here_and_from_another_host() {
    let name = "a_server_in_a_host_is_reached_from_here_and_from_another_host";
    if skip(name, &[Requirement::Root, Requirement::Iproute, Requirement::Kubernetes]) {
        return;
    }
    let lab = Lab::new().unwrap();
    let (control, node) = (lab.node("control", Shape::OPEN), lab.node("node", Shape::OPEN));
    let (control, node) = (control.unwrap(), node.unwrap());
    let options = Options { host: Some(&control) };
    let server = ApiServer::start_with(options).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(client(&server.kubeconfig()).await, "default");
    maps.create(&PostParams::default(), &greeting()).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let admin = server.credential("another-admin", Some("system:masters")).unwrap();
    server.write_kubeconfig(&file, &server.url_in_lab(), &admin).unwrap();
    let ask = async move || {
        let maps = Api::<ConfigMap>::namespaced(client(&file).await, "default");
        maps.get("greeting").await.unwrap().data
    };
    assert_eq!(node.enter(ask).await.unwrap(), greeting().data);
}
