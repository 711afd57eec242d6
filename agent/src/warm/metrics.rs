//! What the warmer counts.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Counters of the warmer. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct WarmMetrics {
    /// Images that this node is meant to hold.
    pub(crate) wanted: Gauge,
    /// Those that it holds.
    pub(crate) held: Gauge,
    /// Those that it cannot get, or where it went wrong.
    pub(crate) failed: Gauge,
    /// Bytes that were written ahead of any pull.
    pub(crate) warmed: Counter,
}

impl WarmMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("onepull");
        registry.register("images_wanted", "Images declared on this node", metrics.wanted.clone());
        let help = "Images declared on this node that its runtime lists";
        registry.register("images_held", help, metrics.held.clone());
        let help = "Images declared on this node that it cannot get, or where it went wrong";
        registry.register("images_failed", help, metrics.failed.clone());
        let help = "Bytes from peers that were written into the runtime's store ahead of any pull";
        registry.register_with_unit("warmed", help, Unit::Bytes, metrics.warmed.clone());
        metrics
    }
}
