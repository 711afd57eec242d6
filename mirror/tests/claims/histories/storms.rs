//! Honest nodes and real faults, with one and with two coordinators that know different things.

use onepull_mirror::claim::Coordinator;
use proptest::{collection::vec, prelude::*};

use crate::world::{Doing, World};

const NODES: u16 = 12;
const UNITS: u64 = 60;
/// 10 s.
const DEADLINE: u64 = 100;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Join(u16),
    Kill(u16),
    Stall(u16, u64),
    /// Its link gets slower, or as fast as before.
    Slow(u16, u64),
    /// The stream from the parent breaks although both live.
    Break(u16),
    /// The node's closest coordinator is another one now.
    Move(u16),
    Restart(usize),
}

fn faults() -> impl Strategy<Value = (u64, Fault)> {
    let fault = prop_oneof![
        8 => (0..NODES).prop_map(Fault::Join),
        1 => (0..NODES).prop_map(Fault::Kill),
        2 => (0..NODES, 1u64..80).prop_map(|(id, ticks)| Fault::Stall(id, ticks)),
        2 => (0..NODES, 1u64..12).prop_map(|(id, times)| Fault::Slow(id, times)),
        2 => (0..NODES).prop_map(Fault::Break),
        2 => (0..NODES).prop_map(Fault::Move),
        1 => (0..2usize).prop_map(Fault::Restart),
    ];
    (0u64..12, fault)
}

fn zone(id: u16) -> Option<&'static str> {
    [Some("a"), Some("b")][usize::from(id % 2)]
}

fn strike(world: &mut World, fault: Fault) {
    let coordinators = world.coordinators.len();
    let tick = world.tick;
    match fault {
        Fault::Join(id) => world.join(id, zone(id), id != 5, usize::from(id) % coordinators),
        Fault::Kill(id) => world.kill(id),
        Fault::Restart(which) => world.coordinators[which % coordinators] = Coordinator::default(),
        Fault::Break(id) => {
            if let Some(Doing::Following(parent)) = world.nodes.get(&id).map(|node| node.doing) {
                world.lose(id, parent);
            }
        }
        Fault::Stall(id, ticks) => {
            if let Some(node) = world.nodes.get_mut(&id) {
                node.stalled_until = tick + ticks;
            }
        }
        Fault::Slow(id, times) => {
            if world.nodes.contains_key(&id) {
                world.slow_down(id, times);
            }
        }
        Fault::Move(id) => {
            if let Some(node) = world.nodes.get_mut(&id) {
                node.asks = (node.asks + 1) % coordinators;
                node.wanting_since = tick;
            }
        }
    }
}

/// Nobody that may lead is told "not yet" for ten seconds by the same living coordinator.
fn check(world: &World, since_restart: u64) {
    for (id, node) in &world.nodes {
        let since = node.wanting_since.max(since_restart);
        let waits = node.doing == Doing::Wanting && node.may_lead;
        assert!(!waits || world.tick < since + DEADLINE, "{id} waits: {}", world.state());
    }
}

fn play(coordinators: usize, delays: Vec<u64>, faults: &[(u64, Fault)]) -> World {
    let mut world = World::new(UNITS);
    world.coordinators = (0..coordinators).map(|_| Coordinator::default()).collect();
    world.delays = delays;
    let mut since_restart = 0;
    for (pause, fault) in faults {
        for _ in 0..*pause {
            world.step();
            check(&world, since_restart);
        }
        if matches!(fault, Fault::Restart(_)) {
            since_restart = world.tick;
        }
        strike(&mut world, *fault);
    }
    for _ in 0..DEADLINE {
        world.step();
        check(&world, since_restart);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn with_one_coordinator_everybody_ends_with_all_bytes(
        faults in vec(faults(), 0..60)
    ) {
        let mut world = play(1, vec![0], &faults);
        world.join(99, None, true, 0);
        world.run(1000);
    }

    /// Behind a slow lead it may: who has more than it waits in vain.
    #[test]
    fn patience_does_not_run_out_where_no_link_gets_slow(faults in vec(faults(), 0..60)) {
        let is_other = |fault: &(u64, Fault)| !matches!(fault.1, Fault::Slow(..));
        let faults: Vec<_> = faults.into_iter().filter(is_other).collect();
        let mut world = play(1, vec![0], &faults);
        world.join(99, None, true, 0);
        world.run(1000);
        prop_assert_eq!(world.coordinators[0].counters().impatient, 0);
    }

    #[test]
    fn with_two_that_disagree_everybody_ends_with_all_bytes(
        faults in vec(faults(), 0..60), delays in vec(0u64..10, 2)
    ) {
        let mut world = play(2, delays, &faults);
        world.join(98, None, true, 0);
        world.join(99, None, true, 1);
        world.run(1000);
    }
}
