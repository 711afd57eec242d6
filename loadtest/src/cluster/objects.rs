//! What is in the cluster before anybody declares images: nodes, controllers, a pull secret.

use std::{collections::BTreeMap, net::Ipv4Addr};

use jiff::Timestamp;
use onepull_api::logins;
use onepull_testbed::registry::{PASSWORD, USER};
use serde_json::{Value, json};

use super::file::File;

/// The namespace that onepull is installed in.
pub(super) const NAMESPACE: &str = "onepull-system";
/// The service accounts of its two parts.
pub(super) const AGENT: &str = "onepull-agent";
pub(super) const CONTROLLER: &str = "onepull-controller";

/// Namespaces and the secret that `file` names.
pub(super) fn surroundings(file: &File, registry: &str) -> Value {
    let namespace = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name}})
    };
    let docker = json!({"auths": {registry: {"username": USER, "password": PASSWORD}}});
    let secrets = file.cache.spec.image_pull_secrets.iter().map(|secret| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": secret.name, "namespace": file.namespace()},
            "stringData": {".dockerconfigjson": docker.to_string()},
        })
    });
    let first = [namespace(file.namespace()), namespace(NAMESPACE)];
    list(first.into_iter().chain(secrets).collect())
}

/// A node as its kubelet registers it, and the pod of its agent.
pub(super) fn node(name: &str, labels: &BTreeMap<String, String>, now: Timestamp) -> Value {
    let mut labels = labels.clone();
    for (key, value) in [("hostname", name), ("os", "linux"), ("arch", "amd64")] {
        labels.insert(format!("kubernetes.io/{key}"), value.to_owned());
    }
    let resources = json!({
        "cpu": "2", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi",
    });
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "status": {
            "conditions": [ready(true, now)], "capacity": resources, "allocatable": resources,
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "bootID": "", "machineID": "",
                "containerRuntimeVersion": "containerd://2.2", "kernelVersion": "",
                "kubeProxyVersion": "", "kubeletVersion": "v1.34.4", "osImage": "", "systemUUID": "",
            },
        },
    })
}

/// The condition of a node that its kubelet or, in its place, the node controller writes.
pub(super) fn ready(is_ready: bool, now: Timestamp) -> Value {
    let (status, reason) = match is_ready {
        true => ("True", "KubeletReady"),
        false => ("Unknown", "NodeStatusUnknown"),
    };
    json!({
        "type": "Ready", "status": status, "reason": reason, "message": "",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    })
}

/// The pod that an agent's token is bound to, as a DaemonSet makes it.
pub(super) fn agent_pod(node: &str) -> Value {
    let containers = json!([{"name": "agent", "image": "onepull-agent"}]);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod_name(node), "namespace": NAMESPACE},
        "spec": {"nodeName": node, "serviceAccountName": AGENT, "containers": containers},
    })
}

/// A controller's part of its service, as the controller of EndpointSlices writes it.
pub(super) fn controllers(identity: &str, ip: Ipv4Addr, port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": identity, "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": logins::SERVICE},
        },
        "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
        "ports": [{"name": logins::PORT, "port": port, "protocol": "TCP"}],
    })
}

pub(super) fn pod_name(node: &str) -> String {
    format!("{AGENT}-{node}")
}

pub(super) fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}
