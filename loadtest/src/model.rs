//! What physics allows: the times to compare a measured run with.
//!
//! All formulas ignore headers, hashing and disks: S image bytes, N nodes, B the rate of a node's
//! link, R that of the registry's, m the pieces in which a blob can be shared.

use serde::{Deserialize, Serialize};

use crate::units::LinkRate;

/// Times that a setup could reach at best, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// `S/B`: a node alone, with a registry that never is the bottleneck.
    pub link_seconds: f64,
    /// `S/B * (1 + floor(log2 N) / m)`: N nodes that share m pieces, each sent on as it is complete.
    pub shared_seconds: f64,
    /// `max(N*S/R, S/B)`: N nodes that share nothing.
    pub direct_seconds: f64,
}

// === impl Model ===

impl Model {
    /// The model of `nodes` nodes that pull `bytes` bytes in `pieces` pieces.
    pub fn new(bytes: u64, nodes: u32, pieces: u32, nic: LinkRate, registry: LinkRate) -> Self {
        let link_seconds = nic.time_for(bytes).as_secs_f64();
        let doublings = f64::from(nodes.max(1).ilog2());
        let registry_seconds = f64::from(nodes) * registry.time_for(bytes).as_secs_f64();
        Self {
            link_seconds,
            shared_seconds: link_seconds * (1.0 + doublings / f64::from(pieces.max(1))),
            direct_seconds: registry_seconds.max(link_seconds),
        }
    }

    /// `eta = (S/B) / (time of the last node)`: 1 is what the link allows.
    pub fn eta(&self, last_seconds: f64) -> f64 {
        self.link_seconds / last_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_are_those_of_the_design() {
        let nic = LinkRate::new(8_000_000);
        let model = Model::new(10_000_000, 8, 4, nic, nic);
        let expected = Model { link_seconds: 10.0, shared_seconds: 17.5, direct_seconds: 80.0 };
        assert_eq!(model, expected);
        assert_eq!(model.eta(20.0), 0.5);
    }

    #[test]
    fn one_node_is_bound_by_its_own_link_even_behind_a_fast_registry() {
        let fast = LinkRate::new(80_000_000);
        let model = Model::new(10_000_000, 1, 4, LinkRate::new(8_000_000), fast);
        assert_eq!(model.shared_seconds, 10.0);
        assert_eq!(model.direct_seconds, 10.0);
    }
}
