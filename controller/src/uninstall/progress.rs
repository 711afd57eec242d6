//! How far the agents are. Pure.

use std::{collections::BTreeSet, fmt};

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, Pod},
};

use super::{CONTAINER, is_told};

/// How many nodes are done, as the DaemonSet's status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Nodes that have an agent, or are to have one.
    pub(super) wanted: usize,
    /// Those with a pod that is told to uninstall, and is ready; the others may be ready and not yet told.
    pub(super) done: usize,
    all: bool,
}

// === impl Progress ===

impl Progress {
    /// `None` as long as what was told is not seen yet.
    pub(super) fn of(daemon_set: &DaemonSet) -> Option<Self> {
        let status = daemon_set.status.as_ref()?;
        if status.observed_generation < daemon_set.metadata.generation {
            return None;
        }
        let count = |count: i32| usize::try_from(count).unwrap_or_default();
        let wanted = count(status.desired_number_scheduled);
        let updated = count(status.updated_number_scheduled.unwrap_or_default());
        let ready = count(status.number_ready);
        Some(Self { wanted, done: updated.min(ready), all: updated >= wanted && ready >= wanted })
    }

    /// How many nodes there are, when all are done.
    pub(super) fn all_done(&self) -> Option<usize> {
        self.all.then_some(self.wanted)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} nodes are done", self.done, self.wanted)
    }
}

/// The nodes that have an agent, and none that is done.
pub(super) fn unfinished(pods: &[Pod]) -> BTreeSet<String> {
    let node = |pod: &&Pod| pod.spec.as_ref()?.node_name.clone();
    let done: BTreeSet<_> =
        pods.iter().filter(|pod| is_done(pod)).filter_map(|pod| node(&pod)).collect();
    let all: BTreeSet<_> = pods.iter().filter_map(|pod| node(&pod)).collect();
    all.difference(&done).cloned().collect()
}

fn is_done(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut agents = containers.filter(|container| container.name == CONTAINER);
    let told = agents.any(|agent| agent.args.as_deref().is_some_and(is_told));
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    told && pod.metadata.deletion_timestamp.is_none() && ready.any(|it| it.status == "True")
}

/// Whether nobody can do anything on a node: it is gone, or its kubelet does not answer.
pub(super) fn is_away(node: Option<&Node>) -> bool {
    let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_deref());
    !conditions.into_iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::uninstall::ARGUMENTS;

    fn daemon_set(generation: i64, updated: i32, ready: i32) -> DaemonSet {
        let status = json!({
            "observedGeneration": 2, "desiredNumberScheduled": 3, "currentNumberScheduled": 3,
            "numberMisscheduled": 0, "updatedNumberScheduled": updated, "numberReady": ready,
        });
        serde_json::from_value(json!({"metadata": {"generation": generation}, "status": status}))
            .unwrap()
    }

    #[test]
    fn all_are_done_when_every_node_has_a_ready_pod_of_the_new_kind() {
        let done = |updated, ready| Progress::of(&daemon_set(2, updated, ready)).unwrap();
        assert_eq!(done(3, 3).all_done(), Some(3));
        assert_eq!(done(3, 2).all_done(), None);
        assert_eq!(done(1, 3).all_done(), None, "the others are ready, and not told yet");
        assert_eq!(done(1, 3).to_string(), "1 of 3 nodes are done");
        assert_eq!(Progress::of(&daemon_set(3, 3, 3)), None, "what was told is not seen yet");
    }

    fn pod(node: &str, args: &[&str], ready: &str, leaving: bool) -> Pod {
        let mut metadata = json!({"name": node});
        if leaving {
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        let containers = json!([{"name": "agent", "args": args}]);
        let conditions = json!([{"type": "Ready", "status": ready}]);
        serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {"nodeName": node, "containers": containers},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn a_node_is_unfinished_until_it_has_a_ready_pod_of_the_new_kind() {
        let pods = [
            pod("old", &["serve"], "True", false),
            pod("new", &ARGUMENTS, "True", false),
            pod("new", &["serve"], "True", true),
            pod("newer", &[ARGUMENTS[0], ARGUMENTS[1], "--data-dir-parent=/var"], "True", false),
            pod("starting", &ARGUMENTS, "False", false),
            pod("leaving", &ARGUMENTS, "True", true),
        ];
        let unfinished = unfinished(&pods);
        assert_eq!(unfinished.into_iter().collect::<Vec<_>>(), ["leaving", "old", "starting"]);
    }

    #[test]
    fn a_node_is_away_when_its_kubelet_does_not_answer_or_nobody_knows_it() {
        let node = |conditions: Value| -> Node {
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": conditions}}))
                .unwrap()
        };
        let ready = |status| node(json!([{"type": "Ready", "status": status}]));
        assert!(!is_away(Some(&ready("True"))));
        assert!(is_away(Some(&ready("Unknown"))));
        assert!(is_away(Some(&node(json!([])))));
        assert!(is_away(None));
    }
}
