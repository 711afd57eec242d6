//! From a `Node` and its `NodeImageCache` to what is known of a node.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use onepull_api::{HeldImage, NodeImageCache, NodeImageCacheStatus};

use super::{DiskPolicy, holds, kind_of_node, removals, report};
use crate::planner::{Digest, Node, Report};

/// What is known of a node: what it is from its Node, what it was told from the spec of its NodeImageCache, and what
/// it holds from the status. Times that have not come yet, as an agent's clock may be wrong, count as `now`.
///
/// A node without a NodeImageCache was told nothing and reports nothing.
pub fn node(
    node: &v1::Node,
    object: Option<&NodeImageCache>,
    policy: DiskPolicy,
    now: Timestamp,
) -> Node {
    let labels = node.metadata.labels.iter().flatten();
    let status = object.and_then(|object| object.status.as_ref());
    let disk = status.and_then(|status| status.disk.as_ref());
    Node {
        name: node.metadata.name.as_deref().unwrap_or_default().into(),
        labels: labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
        platform: kind_of_node::platform(node),
        ready: kind_of_node::is_ready(node),
        virtual_node: kind_of_node::is_virtual(node),
        schedulable: kind_of_node::is_schedulable(node),
        disk: disk.map(|disk| policy.room(disk)),
        holds: object.map(|object| holds(&object.spec)).unwrap_or_default(),
        removals: object.map(|object| removals(&object.spec)).unwrap_or_default(),
        reports: status.map(|status| reports(status, now)).unwrap_or_default(),
    }
}

/// What the node says of each image; of two that say the same digest, what it says first: those that it is to hold
/// come before those that it is to remove.
fn reports(status: &NodeImageCacheStatus, now: Timestamp) -> BTreeMap<Digest, Report> {
    let known = |held: &HeldImage| (Digest::from(held.digest.as_str()), report::report(held, now));
    status.images.iter().rev().map(known).collect()
}

#[cfg(test)]
mod tests;
