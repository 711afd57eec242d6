//! What an operator sees of the DHT.

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

/// The router's gauges; clones share their values.
#[derive(Clone, Debug, Default)]
pub struct RouterMetrics {
    pub(super) peers: Gauge,
    pub(super) announced: Gauge,
}

// === impl RouterMetrics ===

impl RouterMetrics {
    /// Exports `onepull_router_peers` and `onepull_router_announced_digests`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "onepull_router_peers",
            "Live peers in this node's view of the cluster",
            self.peers.clone(),
        );
        registry.register(
            "onepull_router_announced_digests",
            "Digests that this node announces to its peers",
            self.announced.clone(),
        );
    }
}
