//! Zones: one copy crosses into each.

use std::collections::BTreeMap;

use onepull_mirror::claim::{Claim, Progress, Stage, Verdict};

use crate::support::{Room, at, first, get, node, says};

#[test]
fn only_the_first_of_a_zone_follows_somebody_elsewhere() {
    for shift in 0..6 {
        let mut room = Room::new();
        let zone = |number: u16| ["a", "b", "c"][usize::from(number * (1 + shift) / 4 % 3)];
        let mut crossings = BTreeMap::new();
        for number in 0..60 {
            if let Some(parent) = first(&room.get_in(number, zone(number)))
                && zone(parent) != zone(number)
            {
                *crossings.entry(zone(number)).or_insert(0) += 1;
            }
        }
        assert!(crossings.values().all(|count| *count == 1), "{shift}: {crossings:?}");
    }
}

#[test]
fn a_node_keeps_a_slot_for_its_own_zone() {
    let mut room = Room::new();
    room.get_in(0, "a");
    assert_eq!(first(&room.get_in(1, "b")), Some(0));
    assert_eq!(first(&room.get_in(2, "c")), Some(1));
    assert_eq!(first(&room.get_in(3, "a")), Some(0));
}

#[test]
fn with_one_slot_per_node_a_zone_is_entered_where_there_is_one() {
    let mut room = Room::new();
    room.get_in(0, "a");
    let one = Progress { node: node(0, Some("a")), ..says(0, 1, Stage::Leading) };
    room.coordinator.progress(&one, room.now);
    assert_eq!(first(&room.get_in(1, "b")), Some(0));
}

#[test]
fn the_next_node_crosses_when_the_one_that_did_is_gone() {
    let mut room = Room::new();
    room.get_in(0, "a");
    room.get_in(1, "b");
    room.get_in(2, "b");
    let zone = node(0, Some("a"));
    let lead = Progress { node: zone, free_slots: 2, ..says(0, 100, Stage::Leading) };
    room.coordinator.progress(&lead, room.now);
    let lost = vec![at(1)];
    let again = Claim { node: node(2, Some("b")), have: 50, lost, ..get(2) };
    assert_eq!(first(&room.claim(&again)), Some(0));
}

#[test]
fn spare_parents_come_from_the_own_zone_first() {
    let mut room = Room::new();
    for number in 0..8 {
        room.get_in(number, if number % 2 == 0 { "a" } else { "b" });
    }
    let Verdict::Follow(parents) = room.get_in(9, "b") else { panic!("a follower") };
    let zones: Vec<_> = parents.iter().map(|parent| parent.peer.zone.as_deref()).collect();
    assert_eq!(zones, [Some("b"); 4]);
}
