//! From the objects to what a plan is made from.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::Policy;
use crate::{
    convert::{self, Machine, Told},
    planner::{Cache, Node, NodeName, Platform},
    resolving::{Delegate, Resolving},
    world::Snapshot,
};

/// The nodes of the last plan: one of which nothing new is known is not made again.
#[derive(Default)]
pub(super) struct Nodes(HashMap<NodeName, Made>);

struct Made {
    machine: Arc<Machine>,
    told: Option<Arc<Told>>,
    node: Arc<Node>,
}

// === impl Nodes ===

impl Nodes {
    /// The nodes, in the order of the machines, with what they were told and report.
    pub(super) fn of(&mut self, snapshot: &Snapshot, policy: Policy) -> Vec<Arc<Node>> {
        let mut before = std::mem::take(&mut self.0);
        let mut nodes = Vec::with_capacity(snapshot.machines.len());
        for machine in &snapshot.machines {
            let told = snapshot.told.get(machine.name.as_str());
            let made = before.remove(&machine.name).filter(|made| made.is_of(machine, told));
            let made = made.unwrap_or_else(|| Made::new(machine, told, policy));
            nodes.push(Arc::clone(&made.node));
            self.0.insert(machine.name.clone(), made);
        }
        nodes
    }
}

// === impl Made ===

impl Made {
    fn new(machine: &Arc<Machine>, told: Option<&Arc<Told>>, policy: Policy) -> Self {
        let node = convert::node(machine, told.map(Arc::as_ref), policy.disk);
        Self { machine: Arc::clone(machine), told: told.cloned(), node: Arc::new(node) }
    }

    /// Whether it is made of just these.
    fn is_of(&self, machine: &Arc<Machine>, told: Option<&Arc<Told>>) -> bool {
        let is_told = match (&self.told, told) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_told && Arc::ptr_eq(&self.machine, machine)
    }
}

/// The nodes that can ask a registry in the controller's place.
pub(super) fn delegates(snapshot: &Snapshot) -> Vec<Delegate<'_>> {
    let ready = snapshot.machines.iter().filter(|machine| machine.ready && !machine.virtual_node);
    ready.filter_map(|node| Delegate::new(snapshot.told.get(node.name.as_str())?)).collect()
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
