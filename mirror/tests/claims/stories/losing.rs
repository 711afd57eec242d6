//! Parents that break in mid-blob, and who is tried instead.

use onepull_mirror::claim::{Advice, Stage, Verdict};

use crate::support::{Room, at, blob, first, following};

#[test]
fn a_follower_that_lost_its_parent_goes_on_at_its_grandparent() {
    let mut room = Room::chain(5);
    assert_eq!(first(&room.get_again(3, 5000, &[2])), Some(1));
    assert_eq!(room.coordinator.parent_of(&blob(), &at(4)), Some(at(3)));
}

#[test]
fn nobody_is_sent_to_a_lost_node_until_it_is_heard_again() {
    let mut room = Room::chain(5);
    room.get_again(4, 100, &[3]);
    let Verdict::Follow(parents) = room.get(9) else { panic!("a follower") };
    assert!(parents.iter().all(|parent| parent.peer.endpoint != at(3)), "{parents:?}");
    room.says(3, 997, following(2));
    let Verdict::Follow(parents) = room.get(10) else { panic!("a follower") };
    assert!(parents.iter().any(|parent| parent.peer.endpoint == at(3)), "{parents:?}");
}

#[test]
fn in_mid_blob_only_nodes_strictly_ahead_are_named() {
    let mut room = Room::chain(8);
    let Verdict::Follow(parents) = room.get_again(20, 997, &[]) else { panic!("a follower") };
    let haves: Vec<_> = parents.iter().map(|parent| parent.have).collect();
    assert_eq!(haves, [998, 999, 1000]);
}

#[test]
fn no_descendant_becomes_a_parent_even_if_it_claims_to_be_ahead() {
    let mut room = Room::chain(3);
    room.says(2, 5000, following(1));
    assert_eq!(room.get_again(1, 999, &[0]), Verdict::NotYet);
}

#[test]
fn a_ring_that_two_coordinators_made_is_not_believed() {
    let mut room = Room::chain(3);
    room.says(1, 10, following(2));
    let parents = [1, 2].map(|number| room.coordinator.parent_of(&blob(), &at(number)));
    assert_eq!(parents, [None, Some(at(1))]);
}

#[test]
fn the_children_of_a_dead_member_keep_their_place_and_ask_again() {
    let mut room = Room::chain(4);
    room.says(1, 0, Stage::Gone);
    assert_eq!(room.coordinator.parent_of(&blob(), &at(2)), None);
    assert_eq!(room.coordinator.parent_of(&blob(), &at(3)), Some(at(2)));
    assert_eq!(first(&room.get_again(2, 998, &[1])), Some(0));
}

#[test]
fn who_waits_for_the_first_byte_of_a_dead_member_is_sent_elsewhere() {
    let mut room = Room::new();
    let parents: Vec<_> = (0..3).map(|number| first(&room.get(number))).collect();
    assert_eq!(parents, [None, Some(0), Some(1)]);
    // Node 1 is never heard, and dead after 3.5 s.
    let advice = [1, 2, 3, 4, 5].map(|second| {
        room.wait(1000);
        room.says(0, 1000 * second, Stage::Leading);
        room.says(2, 0, following(1))
    });
    let [stay, go] = [Advice::CarryOn, Advice::Move];
    assert_eq!(advice, [stay, stay, stay, go, go], "as often as it takes");
    assert_eq!(first(&room.get(2)), Some(0));
    assert_eq!(room.says(2, 0, following(0)), stay);
}

#[test]
fn a_node_that_lost_the_only_holder_leads_at_once() {
    let mut room = Room::new();
    room.says(0, 100, Stage::Complete);
    assert_eq!(first(&room.get(1)), Some(0));
    assert_eq!(room.get_again(1, 0, &[0]), Verdict::Lead);
}

#[test]
fn everything_is_forgotten_ten_seconds_after_the_last_word() {
    let mut room = Room::chain(5);
    room.wait(3500);
    room.coordinator.expire(room.now);
    assert_eq!((room.coordinator.members(), room.coordinator.digests()), (0, 1));
    room.wait(6500);
    room.coordinator.expire(room.now);
    assert_eq!(room.coordinator.digests(), 0);
}
