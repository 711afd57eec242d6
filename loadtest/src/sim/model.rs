//! What formulas say, to compare a simulation with.
//!
//! S image bytes, N nodes, B a node's link, R the registry's, P a piece, m = S/P pieces, h a hop.
//! `SimConfig::overhead` is added to all of them.

use serde::{Deserialize, Serialize};

use super::{SimConfig, SimPattern};

/// When the last node is done, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimModel {
    /// `S/B * (1 + floor(log2 N) / m)`: nobody can do better in pieces.
    pub bound_seconds: f64,
    /// `S/min(B,R) + h + (N-1) * (P/B + h)`: a perfect chain.
    pub chain_seconds: f64,
    /// `ceil(log2(N+1)) * S/B`: every holder sends the whole image to one that has none, the registry
    /// is a holder too, and nothing is sent on before it is complete.
    pub doubling_seconds: f64,
    /// `max(N*S/R, S/B)`: nothing is shared.
    pub direct_seconds: f64,
}

// === impl SimModel ===

impl SimModel {
    pub(super) fn new(config: &SimConfig) -> Self {
        let nodes = config.pullers();
        Self {
            bound_seconds: config.bound_seconds(nodes),
            chain_seconds: config.chain_seconds(nodes),
            doubling_seconds: config.doubling_seconds(nodes),
            direct_seconds: config.direct_seconds(nodes),
        }
    }
}

// === impl SimConfig ===

impl SimConfig {
    /// Nodes whose time counts.
    pub(super) fn pullers(&self) -> u32 {
        self.nodes - u32::from(self.pattern == SimPattern::Staged)
    }

    fn link_seconds(&self) -> f64 {
        self.nic.time_for(self.image_size.bytes()).as_secs_f64()
    }

    #[allow(clippy::cast_precision_loss, reason = "a number of pieces far below 2^53")]
    pub(super) fn bound_seconds(&self, nodes: u32) -> f64 {
        let pieces = self.image_size.bytes().div_ceil(self.piece.bytes()) as f64;
        let doublings = f64::from(nodes.max(1).ilog2());
        self.link_seconds() * (1.0 + doublings / pieces) + self.overhead.as_secs_f64()
    }

    fn chain_seconds(&self, nodes: u32) -> f64 {
        let image = self.nic.min(self.registry).time_for(self.image_size.bytes()).as_secs_f64();
        let hop = self.hop_latency.as_secs_f64();
        let piece = self.nic.time_for(self.piece.bytes()).as_secs_f64();
        image + hop + f64::from(nodes - 1) * (piece + hop) + self.overhead.as_secs_f64()
    }

    pub(super) fn doubling_seconds(&self, nodes: u32) -> f64 {
        let rounds = f64::from(nodes.ilog2() + 1);
        rounds * self.link_seconds() + self.overhead.as_secs_f64()
    }

    pub(super) fn direct_seconds(&self, nodes: u32) -> f64 {
        let one = self.registry.time_for(self.image_size.bytes()).as_secs_f64();
        (f64::from(nodes) * one).max(self.link_seconds()) + self.overhead.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::testing::config;

    #[test]
    fn the_formulas_are_those_of_the_design() {
        // 64 MiB in pieces of 1 MiB at 100 MiB/s, without latency.
        let model =
            SimModel::new(&SimConfig { hop_latency: std::time::Duration::ZERO, ..config(8) });
        let expected = [64.0 * (1.0 + 3.0 / 64.0), 64.0 + 7.0, 4.0 * 64.0, 8.0 * 64.0]
            .map(|units| units / 100.0);
        let said = [
            model.bound_seconds,
            model.chain_seconds,
            model.doubling_seconds,
            model.direct_seconds,
        ];
        for (said, expected) in said.into_iter().zip(expected) {
            assert!((said - expected).abs() < 1e-6, "{model:?}");
        }
    }

    #[test]
    fn doubling_counts_the_registry_among_the_holders() {
        let rounds = |nodes| (config(2).doubling_seconds(nodes) / 0.64).round();
        let counted: Vec<_> = [1, 2, 3, 4, 7, 8, 1000].map(rounds).to_vec();
        assert_eq!(counted, [1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 10.0]);
    }
}
