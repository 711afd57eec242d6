//! What a node is: a machine or not, about to go or not, and what it runs.

use k8s_openapi::api::core::v1::Node;

use crate::planner::Platform;

/// Labels of nodes that are no machines: virtual-kubelet's own, as on Azure's virtual nodes; Fargate of EKS;
/// Liqo's.
const VIRTUAL_LABELS: [(&str, &str); 3] = [
    ("type", "virtual-kubelet"),
    ("eks.amazonaws.com/compute-type", "fargate"),
    ("liqo.io/type", "virtual-node"),
];

/// The taint that virtual-kubelet gives its nodes, with whatever value.
const VIRTUAL_TAINT: &str = "virtual-kubelet.io/provider";

/// Taints of nodes that are about to go: of the cluster autoscaler, and of Karpenter in two generations.
const GOING_TAINTS: [&str; 4] = [
    "ToBeDeletedByClusterAutoscaler",
    "DeletionCandidateOfClusterAutoscaler",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
];

/// Whether it is no machine, and holds no images.
pub(super) fn is_virtual(node: &Node) -> bool {
    let labelled = |(key, value)| label(node, key) == Some(value);
    VIRTUAL_LABELS.into_iter().any(labelled) || taints(node).any(|key| key == VIRTUAL_TAINT)
}

/// Whether new pods may come, and it is not about to go.
pub(super) fn is_schedulable(node: &Node) -> bool {
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let leaving = node.metadata.deletion_timestamp.is_some();
    !cordoned && !leaving && !taints(node).any(|key| GOING_TAINTS.contains(&key))
}

/// Whether Kubernetes says that it is ready.
pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What it runs, as its kubelet says, or as its labels say before it has.
pub(super) fn platform(node: &Node) -> Platform {
    let told = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    let told = told.map(|info| (info.operating_system.as_str(), info.architecture.as_str()));
    let (system, architecture) = told.unwrap_or_default();
    let or = |told, key| match told {
        "" => label(node, key).unwrap_or("unknown"),
        told => told,
    };
    let system = or(system, "kubernetes.io/os");
    let architecture = or(architecture, "kubernetes.io/arch");
    Platform::from(format!("{system}/{architecture}").as_str())
}

fn label<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn taints(node: &Node) -> impl Iterator<Item = &str> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().map(|taint| taint.key.as_str())
}
