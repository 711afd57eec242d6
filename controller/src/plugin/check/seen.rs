//! What counts of the objects that a check looks at.

use std::collections::{BTreeMap, HashMap, btree_map::Entry};

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    coordination::v1::Lease,
    core::v1::{ContainerStatus, Pod},
};
use kube::ResourceExt;
use onepull_api::{NodeImageCache, Preflight};

use crate::plugin::pool::Place;

/// All that was seen.
pub(super) struct Seen {
    /// Where onepull is installed.
    pub(super) namespace: String,
    /// The nodes that the agents' node selector selects.
    pub(super) places: Vec<Place>,
    pub(super) daemon_set: Option<DaemonSet>,
    pub(super) deployment: Option<Deployment>,
    /// Who leads, or why that is not known.
    pub(super) lease: Result<Option<Lease>, String>,
    /// The agents' pods, by node.
    pub(super) pods: BTreeMap<String, AgentPod>,
    /// What nodes report, by node.
    pub(super) reported: HashMap<String, Reported>,
}

/// An agent's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AgentPod {
    pub(super) name: String,
    pub(super) ready: bool,
    /// Why it is not ready, as far as Kubernetes says.
    pub(super) why: Option<String>,
}

/// What a node reports of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) version: Option<String>,
    pub(super) problem: Option<String>,
    pub(super) preflight: Option<Preflight>,
}

// === impl AgentPod ===

impl AgentPod {
    /// The node that it is on, and what counts of it.
    pub(super) fn of(pod: &Pod) -> Option<(String, Self)> {
        let node = pod.spec.as_ref()?.node_name.clone()?;
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        let why = containers.into_iter().flatten().find_map(waits);
        let why = why.or_else(|| ready.and_then(|ready| ready.message.clone()));
        let is_ready = ready.is_some_and(|ready| ready.status == "True");
        Some((node, Self { name: pod.name_any(), ready: is_ready, why }))
    }

    /// While one is replaced there are two; the one that is ready counts.
    pub(super) fn put_into(self, entry: Entry<'_, String, Self>) {
        match entry {
            Entry::Vacant(place) => drop(place.insert(self)),
            Entry::Occupied(mut place) if self.ready => drop(place.insert(self)),
            Entry::Occupied(_) => {}
        }
    }
}

/// For what a container waits, or how it ended: `CrashLoopBackOff: back-off 5m0s restarting`.
fn waits(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    let said = |reason: &Option<String>, message: &Option<String>| {
        let parts = [reason, message].into_iter().flatten().cloned().collect::<Vec<_>>();
        (!parts.is_empty()).then(|| parts.join(": "))
    };
    let waiting = state.waiting.as_ref().and_then(|it| said(&it.reason, &it.message));
    waiting.or_else(|| state.terminated.as_ref().and_then(|it| said(&it.reason, &it.message)))
}

// === impl Reported ===

impl Reported {
    /// What counts of a node's object.
    pub(super) fn of(object: NodeImageCache) -> Self {
        let status = object.status.unwrap_or_default();
        let (version, problem) = (status.agent_version, status.problem);
        Self { version, problem, preflight: status.preflight }
    }
}
