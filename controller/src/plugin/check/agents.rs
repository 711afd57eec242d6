//! Whether each node has an agent that runs, and what that found. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::PodSpec};
use serde::Serialize;

use super::{
    finding::{Finding, Findings, Verdict},
    placing::belongs,
    seen::{AgentPod, Reported, Seen},
};
use crate::{
    plugin::{pool::Place, words::count},
    uninstall::{DAEMON_SET, is_told},
};

const CHECK: &str = "agents";

/// How the agents are.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Agents {
    /// Nodes that are to have one: ready, and machines.
    nodes: usize,
    ready: usize,
    /// How many there are of each version.
    versions: BTreeMap<String, usize>,
    /// Nodes whose preflight found nothing wrong, warnings, and problems; and those without one.
    well: usize,
    with_warnings: usize,
    with_problems: usize,
    without_report: usize,
}

// === impl Agents ===

impl Agents {
    /// How they are, and what is wrong on which node.
    pub(super) fn of(seen: &Seen, findings: &mut Findings) -> Self {
        let Some(daemon_set) = &seen.daemon_set else {
            let what =
                format!("there is no DaemonSet {DAEMON_SET} in namespace {}", seen.namespace);
            let todo = "install onepull, or say where it is with --installed-in: helm list -A";
            findings.insert(Finding::problem(CHECK, what, todo), Vec::new());
            return Self::default();
        };
        if is_uninstalled(daemon_set) {
            let what = "the agents have been told to uninstall, and serve nothing";
            let todo = "helm upgrade (Helm 4: --force-conflicts) lets them serve again; helm uninstall takes the rest away";
            findings.insert(Finding::problem(CHECK, what, todo), Vec::new());
        }
        let mut agents = Self::default();
        let is_meant = |place: &&Place| {
            place.counts() && pod_of(daemon_set).is_some_and(|pod| belongs(pod, place))
        };
        for place in seen.places.iter().filter(is_meant) {
            let (pod, reported) = (seen.pods.get(&place.name), seen.reported.get(&place.name));
            agents.count(pod, reported);
            for finding in of_node(seen, pod, reported) {
                findings.entry(finding).or_default().push(place.name.clone());
            }
        }
        agents
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        let versions: Vec<_> = match self.versions.len() {
            1 => self.versions.keys().cloned().collect(),
            _ => self
                .versions
                .iter()
                .map(|(version, nodes)| format!("{version} ({nodes})"))
                .collect(),
        };
        let versions = match versions.is_empty() {
            true => String::new(),
            false => format!("; version {}", versions.join(", ")),
        };
        format!("{} of {} have one that is ready{versions}", self.ready, count(self.nodes, "node"))
    }

    /// Their preflights in a line.
    pub(super) fn preflights(&self) -> String {
        let counts = [
            (self.well, "well"),
            (self.with_warnings, "with warnings"),
            (self.with_problems, "with problems"),
            (self.without_report, "without a report yet"),
        ];
        let told = counts.into_iter().filter(|(nodes, _)| *nodes > 0);
        let told: Vec<_> = told.map(|(nodes, words)| format!("{nodes} {words}")).collect();
        if told.is_empty() { "none".to_owned() } else { told.join(", ") }
    }

    fn count(&mut self, pod: Option<&AgentPod>, reported: Option<&Reported>) {
        self.nodes += 1;
        self.ready += usize::from(pod.is_some_and(|pod| pod.ready));
        if let Some(version) = reported.and_then(|reported| reported.version.clone()) {
            *self.versions.entry(version).or_default() += 1;
        }
        let worst = |reported: &Reported| {
            let findings = reported.preflight.as_ref()?.findings.iter();
            Some(findings.map(|found| Finding::of(found).verdict).min())
        };
        match reported.and_then(worst) {
            None => self.without_report += 1,
            Some(None) => self.well += 1,
            Some(Some(Verdict::Warning)) => self.with_warnings += 1,
            Some(Some(Verdict::Problem)) => self.with_problems += 1,
        }
    }
}

/// What is wrong on one node.
fn of_node(seen: &Seen, pod: Option<&AgentPod>, reported: Option<&Reported>) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(of_pod(&seen.namespace, pod));
    let is_ready = pod.is_some_and(|pod| pod.ready);
    let reported = reported.cloned().unwrap_or_default();
    if is_ready && reported.version.is_none() {
        found.push(Finding::warning(
            CHECK,
            "the agent runs, and has reported nothing",
            "look at its log: it may not reach the API server, or no controller has made its NodeImageCache",
        ));
    }
    if let Some(problem) = reported.problem {
        let todo = "this is what the agent itself says; its log on the node has more";
        found.push(Finding::problem(CHECK, problem, todo));
    }
    let preflight = reported.preflight.into_iter().flat_map(|preflight| preflight.findings);
    found.extend(preflight.map(|finding| Finding::of(&finding)));
    found
}

fn of_pod(namespace: &str, pod: Option<&AgentPod>) -> Option<Finding> {
    match pod {
        Some(AgentPod { ready: true, .. }) => None,
        Some(AgentPod { why, .. }) => {
            let why = why.as_deref().unwrap_or("Kubernetes does not say why");
            let todo = format!(
                "kubectl -n {namespace} get pods -l app.kubernetes.io/component=agent -o wide, then describe \
                 and logs of the pod"
            );
            Some(Finding::problem(CHECK, format!("the agent's pod is not ready: {why}"), &todo))
        }
        None => Some(Finding::problem(
            CHECK,
            "no agent runs there",
            &format!("kubectl -n {namespace} describe daemonset {DAEMON_SET}"),
        )),
    }
}

/// Whether the agents were told to uninstall, as before `helm uninstall`.
fn is_uninstalled(daemon_set: &DaemonSet) -> bool {
    let containers = pod_of(daemon_set).map(|pod| &pod.containers);
    let mut arguments = containers.into_iter().flatten().filter_map(|it| it.args.as_ref());
    arguments.any(|arguments| is_told(arguments))
}

fn pod_of(daemon_set: &DaemonSet) -> Option<&PodSpec> {
    daemon_set.spec.template.spec.as_ref()
}
