//! From a machine and what it was told to what is known of a node.

use super::{DiskPolicy, Machine, Told};
use crate::planner::Node;

/// What is known of a node. Without a `NodeImageCache` it was told nothing and reports nothing.
pub fn node(machine: &Machine, told: Option<&Told>, policy: DiskPolicy) -> Node {
    let said = told.and_then(|told| told.said.as_ref());
    let disk = said.and_then(|said| said.disk.as_ref());
    Node {
        name: machine.name.clone(),
        labels: machine.labels.clone(),
        platform: machine.platform.clone(),
        ready: machine.ready,
        virtual_node: machine.virtual_node,
        schedulable: machine.schedulable,
        disk: disk.map(|disk| policy.room(disk)),
        holds: told.map(|told| told.holds.clone()).unwrap_or_default(),
        removals: told.map(|told| told.removals.clone()).unwrap_or_default(),
        reports: said.map(|said| said.reports.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
