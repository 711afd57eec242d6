//! Whole simulations: what must hold whatever the seed, and how near measured runs they are.

use std::time::Duration;

use proptest::prelude::*;

use super::{Outcome, SimConfig, SimPattern, simulate, testing::config};
use crate::{
    report::median,
    units::{ByteSize, LinkRate},
};

const MIB: u64 = 1 << 20;

fn outcome(config: &SimConfig) -> Outcome {
    simulate(config, String::new(), String::new()).unwrap().onepull
}

/// The run that was measured on real containerds, and what `ideal` added to its bound there.
fn measured(pattern: SimPattern, seed: u64) -> SimConfig {
    SimConfig {
        pattern,
        image_size: ByteSize::new(256 * MIB),
        layers: 4,
        nic: LinkRate::new(200_000_000),
        registry: LinkRate::new(200_000_000),
        overhead: Duration::from_millis(2600),
        seed,
        ..config(8)
    }
}

/// The figures of the design: 10 GiB in one layer, 10 Gbit/s.
fn designed(pattern: SimPattern, nodes: u32) -> SimConfig {
    SimConfig {
        pattern,
        image_size: ByteSize::new(10 << 30),
        nic: LinkRate::new(10_000_000_000),
        registry: LinkRate::new(10_000_000_000),
        ..config(nodes)
    }
}

#[test]
fn the_same_seed_makes_the_same_report() {
    let config = SimConfig { layers: 5, zones: 3, kill_lead_at: Some(50), ..config(30) };
    assert_eq!(outcome(&config), outcome(&config));
    assert_ne!(outcome(&config), outcome(&SimConfig { seed: 2, ..config.clone() }));
}

#[test]
fn measured_runs_of_eight_containerds_are_met_within_fifteen_percent() {
    for (pattern, seconds) in [(SimPattern::Storm, 13.4), (SimPattern::Staged, 12.8)] {
        let last = |seed| outcome(&measured(pattern, seed)).last_seconds;
        let simulated = median((1..=9).map(last).collect()).unwrap();
        let off = simulated / seconds - 1.0;
        assert!(off.abs() <= 0.15, "{pattern:?}: {simulated:.1} s, measured {seconds} s");
    }
}

#[test]
fn a_hundred_nodes_end_within_a_tenth_of_the_bound() {
    for pattern in [SimPattern::Planned, SimPattern::Storm] {
        let outcome = outcome(&designed(pattern, 100));
        assert!(outcome.last_by_bound <= 1.1, "{pattern:?}: {}", outcome.last_by_bound);
        assert_eq!((outcome.egress_images, outcome.leads), (1.0, 1));
    }
}

#[test]
fn one_copy_comes_into_each_of_three_zones() {
    for pattern in [SimPattern::Planned, SimPattern::Storm] {
        let outcome = outcome(&SimConfig { pattern, zones: 3, ..config(60) });
        // One zone's came from the registry, the other two from a zone that had it.
        assert_eq!(outcome.entered_images, [1.0, 1.0, 1.0], "{pattern:?}");
        assert_eq!((outcome.egress_images, outcome.crossed_images), (1.0, 2.0), "{pattern:?}");
    }
}

#[test]
fn the_death_of_the_lead_costs_no_second_copy() {
    for pattern in [SimPattern::Planned, SimPattern::Storm] {
        let calm = SimConfig { pattern, ..config(20) };
        let killed = outcome(&SimConfig { kill_lead_at: Some(50), ..calm.clone() });
        assert!(killed.killed.is_some());
        assert_eq!(killed.done_seconds.len(), 19, "all others are done");
        assert!(killed.egress_images <= 1.1, "{pattern:?}: {}", killed.egress_images);
        let more = killed.last_seconds - outcome(&calm).last_seconds;
        // A planned run has to wait for its controller as well.
        assert!(more <= 15.0, "{pattern:?}: {more} s more");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_calm_cluster_takes_one_copy_and_every_node_ends(
        nodes in 2u32..60,
        layers in 1u32..8,
        zones in 1u32..4,
        storm in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let pattern = if storm { SimPattern::Storm } else { SimPattern::Planned };
        let outcome =
            outcome(&SimConfig { pattern, layers, zones, seed, ..config(nodes) });
        prop_assert_eq!(outcome.done_seconds.len(), nodes as usize);
        prop_assert_eq!(outcome.egress_images, 1.0);
        prop_assert_eq!(outcome.second_leads, 0);
    }
}
