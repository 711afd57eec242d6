//! Nodes: what of them counts here, and how they are selected.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::ResourceExt;

use super::{
    cluster::{Cluster, Scope},
    error::AskError,
};
use crate::convert::{Machine, Names};

/// What counts of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Kubernetes says that it is ready.
    pub(crate) ready: bool,
    /// Since when it is, or is not.
    pub(crate) since: Option<Timestamp>,
    /// It is no machine, and holds no images.
    pub(crate) virtual_node: bool,
    /// What keeps pods away.
    pub(crate) taints: Vec<Taint>,
}

// === impl Place ===

impl Place {
    /// What counts of a `Node`.
    pub(crate) fn of(node: &Node) -> Self {
        let machine = Machine::read(node, &mut Names::default());
        let conditions = node.status.iter().filter_map(|status| status.conditions.as_ref());
        let ready = conditions.flatten().find(|condition| condition.type_ == "Ready");
        Self {
            name: node.name_any(),
            labels: node.labels().clone(),
            ready: machine.ready,
            since: ready.and_then(|ready| Some(ready.last_transition_time.as_ref()?.0)),
            virtual_node: machine.virtual_node,
            taints: node.spec.iter().flat_map(|spec| spec.taints.clone()).flatten().collect(),
        }
    }

    /// Whether it has all of these labels.
    pub(crate) fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }

    /// Whether it is waited for: a node that is not ready, or no machine, is not.
    pub(crate) fn counts(&self) -> bool {
        self.ready && !self.virtual_node
    }
}

/// Labels as a selector for the API server; none selects all.
pub(crate) fn selector(labels: &BTreeMap<String, String>) -> String {
    let equal = labels.iter().map(|(key, value)| format!("{key}={value}"));
    equal.collect::<Vec<_>>().join(",")
}

/// Two selectors at once.
pub(crate) fn both(one: &str, other: &str) -> String {
    let parts = [one, other].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(",")
}

// === impl Cluster ===

impl Cluster {
    /// The nodes that any of the selectors selects, by name, none of them twice.
    pub(crate) async fn places(&self, selectors: &[String]) -> Result<Vec<Place>, AskError> {
        let mut places = BTreeMap::new();
        let everything = selectors.iter().any(String::is_empty);
        let selectors: Vec<_> = if everything { vec![""] } else { texts(selectors) };
        for selector in selectors {
            let keep = |node: Node| drop(places.insert(node.name_any(), Place::of(&node)));
            self.each(Scope::All, Some(selector), keep).await?;
        }
        Ok(places.into_values().collect())
    }
}

fn texts(selectors: &[String]) -> Vec<&str> {
    let mut texts: Vec<_> = selectors.iter().map(String::as_str).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_those_of_kubectl() {
        let labels = [("pool", "gpu"), ("a", "")].map(|(key, value)| (key.into(), value.into()));
        let text = selector(&labels.into());
        assert_eq!(text, "a=,pool=gpu");
        assert_eq!(both(&text, "zone in (a,b)"), "a=,pool=gpu,zone in (a,b)");
        assert_eq!(both("", "zone"), "zone");
    }
}
