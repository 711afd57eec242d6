//! From the objects to what a plan is made from.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use kube::ResourceExt;

use super::Policy;
use crate::{
    convert,
    planner::{History, Inputs, Node, Platform},
    resolving::Resolving,
    world::Snapshot,
};

/// What is known, all together.
pub(super) fn inputs(
    snapshot: &Snapshot,
    resolving: &Resolving,
    policy: Policy,
    history: History,
    now: Timestamp,
) -> Inputs<Node> {
    let nodes: Vec<Node> = snapshot
        .nodes
        .iter()
        .map(|node| {
            let told = snapshot.node_caches.get(&node.name_any()).map(Arc::as_ref);
            convert::node(node, told, policy.disk, now)
        })
        .collect();
    let platforms: BTreeSet<Platform> = nodes.iter().map(|node| node.platform.clone()).collect();
    let caches = snapshot.caches.iter();
    let caches = caches.map(|cache| convert::cache(cache, resolving.of(cache, &platforms), now));
    Inputs { caches: caches.collect(), nodes, limits: policy.limits, history }
}
