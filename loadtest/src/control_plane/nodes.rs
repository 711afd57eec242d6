//! Nodes as large as those of a cloud: 50 images and 40 labels, about 12 KiB.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at},
};

use crate::units::ByteSize;

/// The label that caches select by.
pub(super) const POOL: &str = "node-role.kubernetes.io/gpu";

/// Nodes made at once.
const AT_ONCE: usize = 16;

/// What a kubelet tells of, at most.
const IMAGES: usize = 50;

/// How often a kubelet writes its node's status when nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// The name of a node, as clouds give it.
pub(super) fn name(number: u32) -> String {
    format!("ip-10-0-{}-{}.eu-central-1.compute.internal", number / 250, number % 250)
}

/// Makes them all, with the status that a kubelet gives with its registration.
pub(super) async fn make(client: &Client, nodes: u32) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let make = |number| {
        let api = api.clone();
        async move {
            let node: Node = serde_json::from_value(node(number))?;
            api.create(&PostParams::default(), &node).await.context("cannot make a node")
        }
    };
    stream::iter((0..nodes).map(make))
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// Bytes of one, as the API server sends it.
pub(super) async fn size(client: &Client) -> Result<ByteSize> {
    let api: Api<Node> = Api::all(client.clone());
    let list = api.list(&ListParams::default().limit(1)).await?;
    let node = list.items.first().context("there is no node")?;
    Ok(ByteSize::new(serde_json::to_vec(node)?.len() as u64))
}

/// Writes the status of every node once in 5 minutes, until it is dropped.
pub(super) fn heartbeats(client: Client, nodes: u32) -> JoinSet<()> {
    let mut beating = JoinSet::new();
    beating.spawn(async move {
        let api: Api<Node> = Api::all(client);
        let pace = HEARTBEAT / nodes.max(1);
        let mut ticks = interval_at(Instant::now() + pace, pace);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in (0..nodes).cycle() {
            ticks.tick().await;
            let heartbeat = json!({"type": "Ready", "lastHeartbeatTime": now()});
            let patch = Patch::Strategic(json!({"status": {"conditions": [heartbeat]}}));
            // The next one is soon.
            let _ = api.patch_status(&name(number), &PatchParams::default(), &patch).await;
        }
    });
    beating
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn node(number: u32) -> Value {
    let mut labels: serde_json::Map<String, Value> = (0..32)
        .map(|label| {
            (format!("cloud.example.com/label-{label:02}"), json!(format!("value-{number}")))
        })
        .collect();
    let name = name(number);
    let well_known = json!({
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": "g5.12xlarge",
        "topology.kubernetes.io/region": "eu-central-1",
        "topology.kubernetes.io/zone": format!("eu-central-1{}", ["a", "b", "c"][number as usize % 3]),
        POOL: "true",
    });
    labels.extend(well_known.as_object().cloned().unwrap_or_default());
    json!({
        "metadata": {
            "name": name, "labels": labels,
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                "csi.volume.kubernetes.io/nodeid": format!("{{\"ebs.csi.aws.com\":\"i-{number:017x}\"}}"),
            },
        },
        "spec": {"podCIDR": format!("10.{}.{}.0/24", number / 250, number % 250), "providerID": format!("aws:///eu-central-1a/i-{number:017x}")},
        "status": status(&name, number),
    })
}

fn status(name: &str, number: u32) -> Value {
    let image = |image: usize| {
        let repository = format!("registry.example.com/team-{image}/svc-{image}");
        json!({
            "names": [
                format!("{repository}@sha256:{image:032x}{number:032x}"),
                format!("{repository}:v1.{image}.{number}"),
            ],
            "sizeBytes": 123_456_789 + image,
        })
    };
    let images: Vec<Value> = (0..IMAGES).map(image).collect();
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": format!("Kubelet{kind}"),
            "message": format!("kubelet has told of {kind}"),
            "lastHeartbeatTime": now(), "lastTransitionTime": now(),
        })
    };
    let resources = json!({
        "cpu": "48", "memory": "195865912Ki", "pods": "234", "ephemeral-storage": "500Gi",
        "nvidia.com/gpu": "4", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
    });
    json!({
        "capacity": resources, "allocatable": resources,
        "addresses": [
            {"type": "InternalIP", "address": format!("10.0.{}.{}", number / 250, number % 250)},
            {"type": "Hostname", "address": name}, {"type": "InternalDNS", "address": name},
        ],
        "conditions": [
            condition("MemoryPressure", "False"), condition("DiskPressure", "False"),
            condition("PIDPressure", "False"), condition("Ready", "True"),
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": images,
        "nodeInfo": {
            "architecture": "amd64", "operatingSystem": "linux", "bootID": format!("{number:032x}"),
            "machineID": format!("{number:032x}"), "systemUUID": format!("{number:032x}"),
            "containerRuntimeVersion": "containerd://2.2.9", "kernelVersion": "6.12.40-64.114.amzn2023.x86_64",
            "kubeProxyVersion": "v1.34.4", "kubeletVersion": "v1.34.4", "osImage": "Amazon Linux 2023",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_as_large_as_real_ones_and_has_a_name_of_its_own() {
        let one = node(4_999);
        let bytes = serde_json::to_vec(&one).unwrap().len();
        assert!((11 << 10..14 << 10).contains(&bytes), "{bytes}");
        assert_eq!(one["status"]["images"].as_array().unwrap().len(), 50);
        let parsed: Node = serde_json::from_value(one).unwrap();
        assert_ne!(parsed.metadata.name.as_deref(), Some(name(0).as_str()));
    }
}
