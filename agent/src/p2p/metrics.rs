//! What an operator sees of the DHT.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// What the router counts; clones count together.
#[derive(Clone, Debug, Default)]
pub struct RouterMetrics {
    pub(super) peers: Gauge,
    pub(super) announced: Gauge,
    pub(super) turned_away: Counter,
}

// === impl RouterMetrics ===

impl RouterMetrics {
    /// Exports `onepull_router_peers`, `onepull_router_announced_digests` and
    /// `onepull_router_handshakes_failed_total`.
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
        registry.register(
            "onepull_router_handshakes_failed",
            "Connections to the DHT that came to nothing, as of nodes without the cluster key",
            self.turned_away.clone(),
        );
    }
}
