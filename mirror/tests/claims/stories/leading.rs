//! Leads that stall, never start, or die, and who comes after them.

use onepull_mirror::claim::{Advice, Claim, Progress, Stage, Verdict};

use crate::support::{Room, at, blob, first, following, get, says};

#[test]
fn the_follower_with_the_longest_prefix_goes_on_when_the_lead_stalls() {
    let mut room = Room::chain(3);
    for _ in 0..2 {
        room.wait(1000);
        room.says(0, 1000, Stage::Leading);
        assert_eq!(room.says(1, 999, following(0)), Advice::CarryOn);
        assert_eq!(room.says(2, 998, following(1)), Advice::CarryOn);
    }
    room.wait(1000);
    room.says(0, 1000, Stage::Leading);
    assert_eq!(room.says(2, 998, following(1)), Advice::CarryOn);
    assert_eq!(room.says(1, 999, following(0)), Advice::Lead);
    assert_eq!(room.coordinator.counters().promotions, 1);
    assert_eq!(room.coordinator.parent_of(&blob(), &at(2)), Some(at(1)));
}

#[test]
fn the_follower_with_the_longest_prefix_goes_on_when_the_lead_dies() {
    let mut room = Room::chain(3);
    for _ in 0..3 {
        room.wait(1000);
        room.chain_says(1, 3, 1000);
    }
    room.wait(500);
    assert!(matches!(room.get_again(2, 998, &[1]), Verdict::NotYet));
    assert_eq!(room.get_again(1, 999, &[0]), Verdict::Lead);
    assert_eq!(first(&room.get_again(2, 998, &[])), Some(1));
}

#[test]
fn a_lead_that_a_child_lost_and_that_is_silent_is_dead_within_1_500_ms() {
    let mut room = Room::chain(3);
    assert_eq!(room.get_again(1, 999, &[0]), Verdict::NotYet);
    for _ in 0..5 {
        room.wait(250);
        assert_eq!(room.get_again(1, 999, &[0]), Verdict::NotYet);
    }
    room.wait(250);
    assert_eq!(room.get_again(1, 999, &[0]), Verdict::Lead);
}

#[test]
fn a_lead_that_a_child_lost_but_that_is_heard_goes_on_leading() {
    let mut room = Room::chain(3);
    room.get_again(1, 999, &[0]);
    room.wait(900);
    room.says(0, 2000, Stage::Leading);
    assert_eq!(room.get_again(1, 999, &[0]), Verdict::NotYet);
    assert_eq!(first(&room.get_again(1, 999, &[])), Some(0));
}

#[test]
fn a_lead_that_never_confirms_is_dead_within_3_500_ms() {
    let mut room = Room::new();
    assert_eq!(room.get(0), Verdict::Lead);
    room.wait(3499);
    assert_eq!(first(&room.get(1)), Some(0));
    room.wait(1);
    assert_eq!(room.get(1), Verdict::Lead);
}

#[test]
fn a_slow_registry_gets_one_two_and_four_more_leads() {
    let mut room = Room::chain(0);
    room.get(0);
    let mut leads = vec![0];
    for second in 1..=16 {
        room.wait(1000);
        for number in 0..40 {
            let told = if leads.contains(&number) {
                room.says(number, 0, Stage::Leading);
                false
            } else if second == 1 {
                room.get(number) == Verdict::Lead
            } else {
                room.says(number, 0, following(number - 1)) == Advice::Lead
            };
            if told {
                leads.push(number);
            }
        }
        let expected = [1, 2, 4, 8][second / 5];
        assert_eq!(leads.len(), expected, "after {second} s");
    }
    room.says(leads[3], 1, Stage::Leading);
    for _ in 0..12 {
        room.wait(1000);
        room.says(leads[3], room.now.elapsed().as_secs() + 5, Stage::Leading);
    }
    assert_eq!(room.coordinator.counters().leads, 8);
}

#[test]
fn a_lead_named_just_now_gets_no_company_when_the_slow_ones_have_gone() {
    let mut room = Room::new();
    room.get(0);
    for _ in 1..=10 {
        room.wait(1000);
        room.says(0, 0, Stage::Leading);
    }
    assert_eq!(room.get(1), Verdict::Lead);
    room.says(0, 0, Stage::Gone);
    assert_eq!(first(&room.get(2)), Some(1));
    for second in 1..=5 {
        room.wait(1000);
        room.says(1, 0, Stage::Leading);
        let expected = if second < 5 { Advice::CarryOn } else { Advice::Lead };
        assert_eq!(room.says(2, 0, following(1)), expected, "after {second} s");
    }
}

#[test]
fn a_slow_lead_that_starts_to_grow_gets_no_more_company() {
    let mut room = Room::new();
    room.get(0);
    room.get(1);
    for second in 1..30 {
        room.wait(1000);
        room.says(0, second.max(4) - 4, Stage::Leading);
        assert_eq!(room.says(1, 0, following(0)), Advice::CarryOn);
    }
}

#[test]
fn a_lead_that_waits_for_its_own_slot_gets_company_before_its_followers_give_up() {
    let mut room = Room::new();
    room.get(0);
    room.get(1);
    for second in 1..=8 {
        room.wait(1000);
        room.says(0, 0, Stage::Queued);
        let expected = if second < 7 { Advice::CarryOn } else { Advice::Lead };
        assert_eq!(room.says(1, 0, following(0)), expected, "after {second} s");
        if expected == Advice::Lead {
            break;
        }
    }
    // It waits in its own queue all the same, and is none the worse for it.
    room.says(1, 500, Stage::Leading);
    for _ in 0..60 {
        room.wait(1000);
        room.says(0, 0, Stage::Queued);
        room.says(1, 500, Stage::Queued);
    }
    assert_eq!(room.coordinator.counters().leads, 2);
}

#[test]
fn who_can_come_back_later_gets_no_lead_beside_one_that_is_queued() {
    let patient = |id, parent| Progress { patient: true, ..says(id, 0, following(parent)) };
    let mut room = Room::new();
    room.get(0);
    room.claim(&Claim { patient: true, ..get(1) });
    for second in 1..20 {
        room.wait(1000);
        room.says(0, 0, Stage::Queued);
        let advice = room.coordinator.progress(&patient(1, 0), room.now);
        assert_eq!(advice, Advice::CarryOn, "after {second} s");
    }
    assert_eq!(first(&room.get(1)), Some(0), "its last request has just begun");
    room.get(2);
    for second in 1..=7 {
        room.wait(1000);
        room.says(0, 0, Stage::Queued);
        let expected = if second < 7 { Advice::CarryOn } else { Advice::Lead };
        assert_eq!(room.says(1, 0, following(0)), expected, "after {second} s more");
        assert_eq!(room.says(2, 0, following(1)), Advice::CarryOn, "one at a time");
    }

    let mut room = Room::new();
    room.get(0);
    room.claim(&Claim { patient: true, ..get(1) });
    for second in 1..=5 {
        room.wait(1000);
        room.says(0, 0, Stage::Leading);
        let expected = if second < 5 { Advice::CarryOn } else { Advice::Lead };
        let advice = room.coordinator.progress(&patient(1, 0), room.now);
        assert_eq!(advice, expected, "a lead that may hang is no reason to wait, {second} s");
    }
}

#[test]
fn who_waits_for_a_silent_lead_is_sent_to_the_one_that_delivers() {
    let mut room = Room::new();
    for number in 0..=3 {
        room.get(number);
    }
    for _ in 1..=4 {
        room.wait(1000);
        room.says(0, 0, Stage::Leading);
        for number in 1..=3 {
            assert_eq!(room.says(number, 0, following(number - 1)), Advice::CarryOn);
        }
    }
    room.wait(1000);
    assert_eq!(room.says(2, 0, following(1)), Advice::Lead, "it happens to speak first");
    assert_eq!(room.says(1, 0, following(0)), Advice::CarryOn, "that one has nothing either");
    room.says(2, 1 << 20, Stage::Leading);
    assert_eq!(room.says(3, 0, following(2)), Advice::CarryOn);
    assert_eq!(room.says(1, 0, following(0)), Advice::Move);
    assert_ne!(first(&room.claim(&Claim { lost: vec![at(0)], ..get(1) })), Some(0));
}

#[test]
fn a_lead_that_its_other_downloads_hold_up_does_not_lapse_meanwhile() {
    let mut room = Room::new();
    room.get(0);
    room.get(1);
    room.says(0, 500, Stage::Leading);
    for _ in 0..10 {
        room.wait(1000);
        room.says(0, 500, Stage::Queued);
        assert_eq!(room.says(1, 400, following(0)), Advice::CarryOn);
    }
    for second in 1..=3 {
        room.wait(1000);
        room.says(0, 500, Stage::Leading);
        let expected = if second < 3 { Advice::CarryOn } else { Advice::Lead };
        assert_eq!(room.says(1, 400, following(0)), expected, "after {second} s");
    }
}

#[test]
fn advice_that_got_lost_is_given_again() {
    let mut room = Room::chain(2);
    room.says(0, 0, Stage::Gone);
    assert_eq!(room.says(1, 999, following(0)), Advice::Lead);
    room.wait(1000);
    assert_eq!(room.says(1, 999, following(0)), Advice::Lead);
    assert_eq!(room.coordinator.counters().promotions, 1);
}

#[test]
fn one_that_was_promoted_and_goes_on_following_makes_way_for_the_next() {
    let mut room = Room::chain(3);
    room.says(0, 0, Stage::Gone);
    assert_eq!(room.says(1, 999, following(0)), Advice::Lead);
    room.wait(1600);
    assert_eq!(room.says(1, 999, following(0)), Advice::CarryOn);
    assert_eq!(room.says(2, 998, following(1)), Advice::Lead);
}

#[test]
fn a_lapsed_lead_that_grows_again_is_a_lead_again() {
    let mut room = Room::chain(1);
    room.wait(3000);
    room.says(0, 1000, Stage::Leading);
    room.says(0, 1001, Stage::Leading);
    assert_eq!(first(&room.get(1)), Some(0));
    assert_eq!(room.coordinator.counters().second_leads, 0);
}

#[test]
fn a_lead_whose_pull_failed_leads_again_when_it_asks_again() {
    let mut room = Room::chain(2);
    room.wait(500);
    assert_eq!(room.get(0), Verdict::Lead);
    room.says(0, 10, Stage::Leading);
    assert_eq!(room.get(0), Verdict::Lead);
    assert_eq!(room.coordinator.counters().leads, 1);
}

#[test]
fn the_lead_stays_vacant_for_the_longest_prefix_only_as_long_as_a_living_node_needs() {
    let mut room = Room::chain(3);
    room.says(0, 0, Stage::Gone);
    assert_eq!(room.says(2, 998, following(1)), Advice::CarryOn);
    room.wait(1199);
    assert_eq!(room.says(2, 998, following(1)), Advice::CarryOn);
    room.wait(1);
    assert_eq!(room.says(2, 998, following(1)), Advice::Lead);
}

#[test]
fn a_node_that_nobody_can_serve_leads_after_eight_seconds() {
    let mut room = Room::new();
    room.get(0);
    let ahead = Claim { have: 500, ..get(1) };
    let mut waited = 0;
    while room.claim(&ahead) == Verdict::NotYet {
        room.wait(250);
        waited += 250;
        room.says(0, waited / 100, Stage::Leading);
    }
    assert_eq!((waited, room.claim(&ahead)), (8000, Verdict::Lead));
    assert_eq!(room.coordinator.counters().impatient, 1);
}
