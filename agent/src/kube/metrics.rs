//! What is counted of the API server.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Counters. Clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct KubeMetrics {
    /// Questions and writes that failed.
    pub(super) errors: Counter,
    /// Statuses written.
    pub(super) writes: Counter,
}

// === impl KubeMetrics ===

impl KubeMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("onepull_kube");
        let help = "Watches and writes of the node's NodeImageCache that failed";
        registry.register("api_errors", help, metrics.errors.clone());
        let help = "Statuses written into the node's NodeImageCache";
        registry.register("status_writes", help, metrics.writes.clone());
        metrics
    }
}
