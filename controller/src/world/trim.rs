//! Leaves out of an object what no plan reads.

use k8s_openapi::api::core::v1::{Node, NodeCondition};
use kube::Resource;

/// The only condition of a node that counts.
const READY: &str = "Ready";

/// Drops who wrote which field, which is often larger than the object.
pub(super) fn metadata<K: Resource>(object: &mut K) {
    let metadata = object.meta_mut();
    (metadata.managed_fields, metadata.annotations) = (None, None);
}

/// Drops images, volumes, addresses and all conditions but one: 11 of 12 KiB.
pub(super) fn node(node: &mut Node) {
    metadata(node);
    if let Some(spec) = &mut node.spec {
        (spec.pod_cidr, spec.pod_cidrs, spec.config_source) = (None, None, None);
    }
    let Some(status) = &mut node.status else { return };
    let is_ready = |condition: &NodeCondition| condition.type_ == READY;
    let conditions = status.conditions.take().unwrap_or_default();
    let node_info = status.node_info.take();
    *status = Default::default();
    status.node_info = node_info;
    status.conditions = Some(conditions.into_iter().filter(is_ready).collect());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_keeps_what_plans_read_and_nothing_else() {
        let mut large: Node = serde_json::from_value(json!({
            "metadata": {
                "name": "a", "labels": {"pool": "gpu"}, "annotations": {"x": "y"},
                "managedFields": [{"manager": "kubelet"}],
            },
            "spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {
                "images": [{"names": ["a", "b"]}],
                "conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
                "nodeInfo": {
                    "architecture": "amd64", "operatingSystem": "linux", "bootID": "", "machineID": "",
                    "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                    "kubeletVersion": "", "osImage": "", "systemUUID": "",
                },
            },
        }))
        .unwrap();
        node(&mut large);
        let left = serde_json::to_value(&large).unwrap();
        assert_eq!(left["metadata"], json!({"name": "a", "labels": {"pool": "gpu"}}));
        assert_eq!(left["spec"], json!({"taints": [{"key": "k", "effect": "NoSchedule"}]}));
        assert_eq!(left["status"]["conditions"], json!([{"type": "Ready", "status": "True"}]));
        assert_eq!(left["status"]["nodeInfo"]["architecture"], "amd64");
        assert_eq!(left["status"].as_object().unwrap().len(), 2);
    }
}
