//! Parents that break in mid-blob, and who is tried instead.

use onepull_mirror::claim::{Advice, Claim, Stage, Verdict};

use crate::support::{Room, at, blob, first, following, get};

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

/// Node 1 has lost lead 0, asks four times a second, and says each second that it follows it. What it is told
/// first in each second.
fn told_to_who_lost_the_lead(room: &mut Room, have: u64, seconds: u64) -> Vec<Verdict> {
    let mut told = Vec::new();
    for second in 0..seconds {
        for quarter in 0..4 {
            let verdict = room.get_again(1, have, &[0]);
            told.extend((quarter == 0).then_some(verdict));
            room.wait(250);
        }
        room.says(0, 1001 + second, Stage::Leading);
        room.says(1, have, following(0));
    }
    told
}

#[test]
fn a_lead_whose_connection_broke_is_named_again_soon() {
    let mut room = Room::chain(2);
    let told = told_to_who_lost_the_lead(&mut room, 500, 3);
    assert_eq!(told[0], Verdict::NotYet);
    assert!(told[1..].iter().any(|verdict| first(verdict) == Some(0)), "{told:?}");
}

#[test]
fn who_cannot_reach_the_only_lead_leads_when_it_has_tried_twice() {
    for have in [0, 500] {
        let mut room = Room::chain(2);
        let told = told_to_who_lost_the_lead(&mut room, have, 6);
        let leads = told.iter().position(|verdict| *verdict == Verdict::Lead);
        assert!(leads.is_some_and(|second| (3..=5).contains(&second)), "{told:?}");
    }
}

#[test]
fn who_may_not_lead_is_sent_to_a_lead_that_it_lost_again() {
    let mut room = Room::chain(2);
    let again = |room: &mut Room| {
        room.claim(&Claim { have: 500, may_lead: false, lost: vec![at(0)], ..get(1) })
    };
    assert_eq!(again(&mut room), Verdict::NotYet);
    room.wait(1000);
    room.says(0, 2000, Stage::Leading);
    assert_eq!(first(&again(&mut room)), Some(0));
}
