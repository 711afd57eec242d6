//! From a `Node` to what is kept of it.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1;

use super::{Names, kind_of_node};
use crate::planner::{NodeName, Platform};

/// What plans read of a `Node`: one KiB of twelve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: NodeName,
    /// Of the `Node`, which owns what its agent is told.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What it runs.
    pub platform: Platform,
    /// Kubernetes says that it is ready.
    pub ready: bool,
    /// It is no machine, and holds no images.
    pub virtual_node: bool,
    /// New pods may come here, and it is not about to go.
    pub schedulable: bool,
}

// === impl Machine ===

impl Machine {
    /// What is kept of a `Node`.
    pub fn read(node: &v1::Node, names: &mut Names) -> Self {
        let labels = node.metadata.labels.iter().flatten();
        Self {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            uid: node.metadata.uid.clone().unwrap_or_default(),
            labels: labels.map(|(key, value)| (names.text(key), names.text(value))).collect(),
            platform: names.platform(&kind_of_node::platform(node)),
            ready: kind_of_node::is_ready(node),
            virtual_node: kind_of_node::is_virtual(node),
            schedulable: kind_of_node::is_schedulable(node),
        }
    }
}
