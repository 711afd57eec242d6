//! Pods as users start them, and what the cluster says of them.

use std::time::{Duration, Instant};

use onepull_testbed::deadline::eventually;
use serde_json::json;

use crate::cluster::{Cluster, LIMIT};

/// How a pod started.
pub(crate) struct Start {
    /// From its creation until it was Ready.
    pub(crate) took: Duration,
    /// The reasons of its events, in their order.
    pub(crate) events: Vec<String>,
    /// What they said.
    pub(crate) messages: String,
}

impl Cluster {
    /// Starts a pod of an image on a node and waits until it is Ready.
    pub(crate) async fn pod(&self, name: &str, image: &str, node: &str) -> Start {
        self.create_pod(name, image, node).await;
        self.started(name, now()).await
    }

    pub(crate) async fn create_pod(&self, name: &str, image: &str, node: &str) {
        let overrides = json!({"spec": {"nodeName": node, "terminationGracePeriodSeconds": 1}});
        let (image, overrides) = (format!("--image={image}"), format!("--overrides={overrides}"));
        self.kubectl(&["run", name, &image, &overrides, "--restart=Never"]).await;
    }

    /// Waits until a pod is Ready; `since` is when it was made.
    pub(crate) async fn started(&self, name: &str, since: Instant) -> Start {
        let ready = async || {
            let condition = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
            let asked = self.kubectl(&["get", "pod", name, "--output", condition]).await;
            (asked == "True").then_some(())
        };
        let waited = eventually("the pod became Ready", LIMIT, ready).await;
        let took = since.elapsed();
        let field = format!("--field-selector=involvedObject.name={name}");
        let list = "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}";
        let sorted = "--sort-by=.metadata.creationTimestamp";
        let said = self.kubectl(&["get", "events", &field, sorted, "--output", list]).await;
        assert!(waited.is_ok(), "{name}: {said}");
        let reasons = said.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned()));
        Start { took, events: reasons.collect(), messages: said }
    }
}

/// Pods are measured by the clock of whoever waits for them.
#[allow(clippy::disallowed_methods, reason = "pods run in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

// === impl Start ===

impl Start {
    pub(crate) fn pulled(&self) -> bool {
        self.events.iter().any(|reason| reason == "Pulling")
    }

    pub(crate) fn found_it_present(&self) -> bool {
        self.messages.contains("already present on machine")
    }
}
