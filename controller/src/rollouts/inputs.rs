//! From the objects to what a plan is made from.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use kube::ResourceExt;

use super::Policy;
use crate::{
    convert,
    planner::{Cache, Node, Platform},
    resolving::{Delegate, Resolving},
    world::Snapshot,
};

/// The nodes, with what they were told and report.
pub(super) fn nodes(snapshot: &Snapshot, policy: Policy, now: Timestamp) -> Vec<Node> {
    let nodes = snapshot.nodes.iter().map(|node| {
        let told = snapshot.node_caches.get(&node.name_any()).map(Arc::as_ref);
        convert::node(node, told, policy.disk, now)
    });
    nodes.collect()
}

/// The nodes that can ask a registry in the controller's place.
pub(super) fn delegates<'a>(snapshot: &'a Snapshot, nodes: &'a [Node]) -> Vec<Delegate<'a>> {
    let ready = nodes.iter().filter(|node| node.ready && !node.virtual_node);
    let delegates = ready.filter_map(|node| {
        let name = node.name.as_str();
        Delegate::new(name, snapshot.node_caches.get(name)?)
    });
    delegates.collect()
}

/// The caches, with what their images stand for on these platforms.
pub(super) fn caches(
    snapshot: &Snapshot,
    resolving: &Resolving,
    platforms: &BTreeSet<Platform>,
    now: Timestamp,
) -> Vec<Cache> {
    let caches = snapshot.caches.iter();
    caches.map(|cache| convert::cache(cache, resolving.of(cache, platforms), now)).collect()
}
