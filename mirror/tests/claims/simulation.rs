//! Whole downloads: how long the last node takes and what the registry sends.

use onepull_mirror::claim::Coordinator;

use crate::world::{Doing, World};

const UNITS: u64 = 200;

/// A storm of `nodes`, all at once.
fn storm(nodes: u16, zone: fn(u16) -> Option<&'static str>) -> World {
    let mut world = World::new(UNITS);
    for id in 0..nodes {
        world.join(id, zone(id), true, 0);
    }
    world
}

fn half_way(world: &mut World) -> u16 {
    while world.egress < UNITS / 2 {
        world.step();
    }
    world.leads()[0]
}

#[test]
fn a_storm_takes_one_copy_and_the_time_of_a_chain() {
    for nodes in [8, 64] {
        let mut world = storm(nodes, |_| None);
        let took = world.run(UNITS + u64::from(nodes) + 5);
        assert_eq!(world.egress, UNITS, "{nodes} nodes, {took} ticks");
        assert_eq!(world.coordinators[0].counters().leads, 1);
    }
}

#[test]
fn one_copy_crosses_into_each_zone() {
    for nodes in [9, 63] {
        let mut world = storm(nodes, |id| Some(["a", "b", "c"][usize::from(id % 3)]));
        world.run(UNITS + u64::from(nodes) + 5);
        assert_eq!((world.egress, world.crossed), (UNITS, 2 * UNITS));
    }
}

#[test]
fn the_death_of_the_lead_at_half_costs_no_second_copy() {
    for nodes in [8, 64] {
        let mut world = storm(nodes, |_| None);
        let lead = half_way(&mut world);
        world.kill(lead);
        let took = world.run(UNITS + u64::from(nodes) + 60);
        assert!(world.egress <= UNITS + 5, "{nodes} nodes, {} units, {took} ticks", world.egress);
    }
}

#[test]
fn the_death_of_relays_costs_no_byte_of_the_registry() {
    for nodes in [8, 64] {
        let mut world = storm(nodes, |_| None);
        half_way(&mut world);
        world.kill(3);
        world.kill(5);
        world.run(UNITS + u64::from(nodes) + 60);
        assert_eq!(world.egress, UNITS, "{nodes} nodes");
    }
}

#[test]
fn a_coordinator_that_restarts_in_the_middle_costs_no_byte_of_the_registry() {
    let mut world = storm(64, |_| None);
    half_way(&mut world);
    world.coordinators[0] = Coordinator::default();
    world.kill(20);
    world.run(UNITS + 64 + 60);
    assert_eq!(world.egress, UNITS);
}

#[test]
fn a_lead_that_stalls_is_replaced_from_the_byte_reached() {
    let mut world = storm(8, |_| None);
    let lead = half_way(&mut world);
    let until = world.tick + 10_000;
    world.nodes.get_mut(&lead).unwrap().stalled_until = until;
    while world.nodes.values().filter(|node| node.doing == Doing::Complete).count() < 7 {
        world.step();
        assert!(world.tick < UNITS + 8 + 60, "{}", world.state());
    }
    assert!(world.egress <= UNITS + 2, "{} units", world.egress);
}

#[test]
fn who_joins_late_takes_nothing_from_the_registry() {
    let mut world = storm(8, |_| None);
    half_way(&mut world);
    world.join(100, None, true, 0);
    world.run(2 * UNITS);
    world.join(101, None, true, 0);
    assert!(world.run(2 * UNITS) <= UNITS + 5);
    assert_eq!(world.egress, UNITS);
}

#[test]
fn a_silent_registry_is_asked_by_few_and_one_copy_is_enough() {
    let mut world = storm(64, |_| None);
    world.registry_from = 120;
    world.run(UNITS + 64 + 200);
    assert!(world.coordinators[0].counters().leads <= 4, "{:?}", world.coordinators[0].counters());
    assert!(world.egress <= 4 * UNITS);
}

/// How long a storm of eight takes when a node in its middle is slow in the way that `hurt` makes it;
/// without that node.
fn with_a_slow_one(hurt: fn(&mut World, u16)) -> (World, u64) {
    let mut world = storm(8, |_| None);
    half_way(&mut world);
    hurt(&mut world, 3);
    let done = |world: &World| {
        let fast = world.nodes.iter().filter(|(id, _)| **id != 3);
        fast.fold(true, |all, (_, node)| all && node.doing == Doing::Complete)
    };
    while !done(&world) {
        world.step();
        assert!(world.tick < 5 * UNITS, "{}", world.state());
    }
    let took = world.tick;
    (world, took)
}

#[test]
fn a_slow_node_costs_the_others_five_seconds_at_most() {
    let (world, took) = with_a_slow_one(|world, id| world.slow_down(id, 10));
    assert!(took <= UNITS + 8 + 50, "{took} ticks");
    assert_eq!(world.egress, UNITS);
}

#[test]
fn a_node_that_only_sends_slowly_costs_the_others_ten_seconds_at_most() {
    let (world, took) = with_a_slow_one(|world, id| {
        world.nodes.get_mut(&id).unwrap().sends_every = 10;
    });
    // Its grandchild goes to it before it is known which of the two is slow.
    assert!(took <= UNITS + 8 + 100, "{took} ticks");
    assert_eq!(world.egress, UNITS);
}

#[test]
fn a_node_that_is_slow_wherever_it_goes_moves_once() {
    let (world, _) = with_a_slow_one(|world, id| {
        world.nodes.get_mut(&id).unwrap().receives_every = 10;
    });
    assert!(world.coordinators[0].counters().moves <= 3, "{:?}", world.coordinators[0].counters());
}

#[test]
fn the_node_through_which_a_blob_enters_a_zone_is_left_when_it_is_slow() {
    let mut world = storm(8, |id| Some(["a", "b"][usize::from(id % 2)]));
    half_way(&mut world);
    world.slow_down(1, 10);
    while !world.nodes.iter().all(|(id, node)| *id == 1 || node.doing == Doing::Complete) {
        world.step();
        assert!(world.tick < UNITS + 8 + 60, "{}", world.state());
    }
    assert!(world.crossed < 2 * UNITS, "{} units crossed", world.crossed);
}
