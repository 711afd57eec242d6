//! Who asks first, who comes after, and who follows whom.

use onepull_mirror::claim::{Advice, Claim, Intent, Progress, Stage, Verdict};

use crate::support::{Room, at, blob, first, following, get, node, says};

#[test]
fn the_first_to_ask_leads_and_the_others_form_a_chain() {
    let mut room = Room::new();
    assert_eq!(room.get(0), Verdict::Lead);
    for number in 1..20 {
        assert_eq!(first(&room.get(number)), Some(number - 1));
    }
    assert_eq!(room.coordinator.counters().leads, 1);
}

#[test]
fn asking_again_gets_the_same_answer() {
    let mut room = Room::new();
    for number in 0..5 {
        let answer = room.get(number);
        let again = room.get(number);
        assert_eq!((first(&answer), answer == Verdict::Lead), (first(&again), number == 0));
    }
    assert_eq!(room.coordinator.members(), 5);
}

#[test]
fn a_look_leads_nobody_takes_no_slot_and_is_followed_by_nobody() {
    let mut room = Room::new();
    let look = |number| Claim { intent: Intent::Look, ..get(number) };
    assert_eq!(room.claim(&look(9)), Verdict::NotYet);
    assert_eq!(room.coordinator.digests(), 0);
    room.get(0);
    for number in 10..20 {
        assert_eq!(first(&room.claim(&look(number))), Some(0));
    }
    assert_eq!(first(&room.get(1)), Some(0));
    assert_eq!(room.coordinator.members(), 2);
}

#[test]
fn a_node_without_credentials_follows_but_never_leads() {
    let mut room = Room::new();
    let bare = Claim { may_lead: false, ..get(1) };
    for _ in 0..60 {
        assert_eq!(room.claim(&bare), Verdict::NotYet);
        room.wait(250);
    }
    assert_eq!(room.get(0), Verdict::Lead);
    assert_eq!(first(&room.claim(&bare)), Some(0));
}

#[test]
fn a_follower_without_credentials_is_not_promoted() {
    let mut room = Room::chain(2);
    for _ in 0..10 {
        room.wait(1000);
        let bare = Progress { may_lead: false, ..says(1, 999, following(0)) };
        assert_eq!(room.coordinator.progress(&bare, room.now), Advice::CarryOn);
    }
}

#[test]
fn a_verdict_names_spare_parents_that_lose_no_slot() {
    let mut room = Room::new();
    for number in 0..6 {
        room.get(number);
    }
    let Verdict::Follow(parents) = room.get(6) else { panic!("a follower") };
    assert_eq!(parents.len(), 4);
    assert_eq!(parents[0].peer.endpoint, at(5));
    assert_eq!(first(&room.get(7)), Some(6));
}

#[test]
fn a_node_is_sent_no_more_children_than_it_takes() {
    let mut room = Room::new();
    room.get(0);
    let full = Progress { free_slots: 0, ..says(0, 1, Stage::Leading) };
    room.coordinator.progress(&full, room.now);
    assert_eq!(room.get(1), Verdict::NotYet);
    let free = Progress { free_slots: 1, ..full };
    room.coordinator.progress(&free, room.now);
    assert_eq!(first(&room.get(1)), Some(0));
    assert_eq!(first(&room.get(2)), Some(1));
}

#[test]
fn a_child_on_its_way_is_taken_off_the_slots_that_a_node_reports() {
    let mut room = Room::new();
    room.get(0);
    room.get(1);
    let one = Progress { free_slots: 1, ..says(0, 1, Stage::Leading) };
    room.coordinator.progress(&one, room.now);
    room.says(1, 0, Stage::Gone);
    assert_eq!(first(&room.get(2)), Some(0));
    room.coordinator.progress(&one, room.now);
    assert_eq!(first(&room.get_again(3, 0, &[2])), None);
}

#[test]
fn idle_holders_come_before_the_chain_and_busy_ones_after_it() {
    let mut room = Room::new();
    room.says(0, 100, Stage::Complete);
    assert_eq!(first(&room.get(1)), Some(0));
    assert_eq!(first(&room.get(2)), Some(1));
    room.says(9, 100, Stage::Complete);
    assert_eq!(first(&room.get(3)), Some(9));
}

#[test]
fn a_chain_is_split_when_it_is_longer_than_the_blob_has_pieces() {
    let mut room = Room::new();
    let small = |number| Claim { total: Some(2 << 20), ..get(number) };
    let parents: Vec<_> = (0..6).map(|number| first(&room.claim(&small(number)))).collect();
    assert_eq!(parents, [None, Some(0), Some(1), Some(0), Some(3), Some(1)]);
}

#[test]
fn a_lead_that_completes_stays_a_parent() {
    let mut room = Room::chain(3);
    room.says(0, 2000, Stage::Complete);
    assert_eq!(room.coordinator.parent_of(&blob(), &at(1)), Some(at(0)));
    assert_eq!(room.says(1, 1500, following(0)), Advice::CarryOn);
    assert_eq!(first(&room.get(7)), Some(2));
    let elsewhere = Claim { node: node(8, Some("b")), ..get(8) };
    assert!(matches!(room.claim(&elsewhere), Verdict::Follow(_)));
}

#[test]
fn who_waited_for_a_lead_comes_before_newcomers_and_all_in_the_order_of_their_addresses() {
    let mut room = Room::new();
    let waits = |id| Claim { may_lead: false, ..get(id) };
    for id in [3, 1, 2] {
        assert_eq!(room.claim(&waits(id)), Verdict::NotYet);
    }
    assert_eq!(room.get(0), Verdict::Lead);
    assert_eq!(first(&room.get(4)), Some(3));
    for (id, parent) in [(2, 1), (3, 2), (1, 0)] {
        assert_eq!(first(&room.claim(&waits(id))), Some(parent));
    }
}
