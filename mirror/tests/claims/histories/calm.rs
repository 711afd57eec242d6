//! Storms in which everything is as fast as everything else, more or less: nobody changes parents.

use onepull_mirror::claim::Coordinator;
use proptest::{collection::vec, prelude::*};

use crate::world::World;

const UNITS: u64 = 150;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nobody_moves_in_a_calm_storm(
        joins in vec(0u64..40, 1..24), jitter in 0u64..40, zones in 1u16..4,
        delays in vec(0u64..10, 2), registry_from in 0u64..60,
    ) {
        let mut world = World::new(UNITS);
        world.coordinators.push(Coordinator::default());
        (world.jitter, world.delays, world.registry_from) = (jitter, delays, registry_from);
        for (id, pause) in (0u16..).zip(joins) {
            let zone = ["a", "b", "c"][usize::from(id % zones)];
            world.join(id, Some(zone), true, 0);
            for _ in 0..pause {
                world.step();
            }
        }
        world.run(4000);
        for coordinator in &world.coordinators {
            prop_assert_eq!(coordinator.counters().moves, 0);
        }
    }

    #[test]
    fn a_storm_that_slows_down_as_a_whole_stays_as_it_is(
        nodes in 2u16..24, times in 2u64..12, at in 20u64..120,
    ) {
        let mut world = World::new(UNITS);
        for id in 0..nodes {
            world.join(id, None, true, 0);
        }
        for _ in 0..at {
            world.step();
        }
        for id in 0..nodes {
            world.slow_down(id, times);
        }
        world.run(4000);
        prop_assert_eq!(world.coordinators[0].counters().moves, 0);
    }

    #[test]
    fn the_children_of_a_slow_node_leave_it_within_five_seconds(
        nodes in 4u16..40, slow in 1u16..40, at in 30u64..80, times in 8u64..20, jitter in 0u64..20,
    ) {
        let slow = slow % (nodes - 1) + 1;
        let mut world = World::new(UNITS);
        world.jitter = jitter;
        for id in 0..nodes {
            world.join(id, None, true, 0);
        }
        for _ in 0..at {
            world.step();
        }
        if world.nodes[&slow].have == 0 || world.leads().contains(&slow) {
            return Ok(());
        }
        world.slow_down(slow, times);
        for _ in 0..50 {
            world.step();
        }
        prop_assert_eq!(world.children(slow), 0, "{}", world.state());
        let moves = world.coordinators[0].counters().moves;
        prop_assert!(moves <= 8, "{} moves", moves);
        world.run(4000);
    }
}
