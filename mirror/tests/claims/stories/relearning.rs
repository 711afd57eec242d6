//! A coordinator that restarted, or that became the closest in the middle of a download.

use onepull_mirror::claim::{Advice, Stage, Verdict};

use crate::support::{Room, at, blob, first, following};

#[test]
fn a_new_coordinator_names_no_second_lead_before_the_first_was_heard() {
    let mut room = Room::new();
    assert_eq!(room.says(3, 50, following(2)), Advice::CarryOn);
    room.wait(100);
    assert!(matches!(room.get(9), Verdict::Follow(_)));
    room.wait(800);
    room.says(0, 100, Stage::Leading);
    for _ in 0..3 {
        room.wait(900);
        room.says(0, 100 + room.now.elapsed().as_secs(), Stage::Leading);
        assert_eq!(room.says(3, 50, following(2)), Advice::CarryOn);
    }
    assert_eq!(room.coordinator.counters().leads, 0);
}

#[test]
fn a_new_coordinator_promotes_when_no_lead_is_heard() {
    let mut room = Room::new();
    room.says(3, 50, following(2));
    room.wait(1199);
    assert_eq!(room.says(3, 50, following(2)), Advice::CarryOn);
    room.wait(1);
    assert_eq!(room.says(3, 50, following(2)), Advice::Lead);
}

#[test]
fn a_node_that_lost_its_parent_in_mid_blob_waits_for_an_unknown_lead() {
    let mut room = Room::new();
    assert_eq!(room.get_again(3, 50, &[2]), Verdict::NotYet);
    room.says(0, 100, Stage::Leading);
    room.wait(250);
    assert_eq!(first(&room.get_again(3, 50, &[2])), Some(0));
}

#[test]
fn a_runtime_that_resumes_its_own_prefix_leads_at_once() {
    let mut room = Room::new();
    assert_eq!(room.get_again(3, 50, &[]), Verdict::Lead);
}

#[test]
fn the_chain_is_known_again_after_a_heartbeat_in_any_order() {
    let mut room = Room::new();
    for _ in 0..2 {
        for number in (0..6).rev() {
            let stage = if number == 0 { Stage::Leading } else { following(number - 1) };
            room.says(number, 100 - u64::from(number), stage);
        }
    }
    for number in 1..6 {
        assert_eq!(room.coordinator.parent_of(&blob(), &at(number)), Some(at(number - 1)));
    }
    assert_eq!(first(&room.get_again(5, 95, &[4])), Some(3));
}

#[test]
fn a_lead_that_another_coordinator_named_is_counted_as_second() {
    let mut room = Room::chain(2);
    room.says(5, 10, Stage::Leading);
    room.says(5, 20, Stage::Leading);
    assert_eq!(room.coordinator.counters().second_leads, 1);
}
