//! Members that share a parent, and who of them goes to the end of a chain.

use onepull_mirror::claim::{Advice, Progress, Stage, Verdict};

use crate::support::{Room, at, blob, first, following, node, number, says};

const MIB: u64 = 1 << 20;

/// A lead that two members follow.
fn fork(haves: [u64; 3]) -> Room {
    let mut room = Room::new();
    room.get(0);
    room.says(0, haves[0] * MIB, Stage::Leading);
    for (number, have) in [(2, haves[2]), (1, haves[1])] {
        assert_eq!(room.says(number, have * MIB, following(0)), Advice::CarryOn);
    }
    room
}

#[test]
fn the_last_of_two_goes_behind_the_other() {
    let mut room = fork([9, 5, 3]);
    assert_eq!(room.says(1, 5 * MIB, following(0)), Advice::CarryOn);
    assert_eq!(room.says(2, 3 * MIB, following(0)), Advice::Move);
    assert_eq!(first(&room.get_again(2, 3 * MIB, &[0])), Some(1));
    assert_eq!(room.says(2, 3 * MIB, following(1)), Advice::CarryOn);
    let counters = room.coordinator.counters();
    assert_eq!((counters.parted, counters.moves), (1, 0));
}

#[test]
fn who_cannot_reach_the_other_goes_back_and_is_left_alone_for_a_while() {
    let mut room = fork([9, 5, 3]);
    assert_eq!(room.says(2, 3 * MIB, following(0)), Advice::Move);
    let Verdict::Follow(parents) = room.get_again(2, 3 * MIB, &[0]) else { panic!("no parents") };
    let named: Vec<_> = parents.iter().map(|parent| number(parent.peer.endpoint)).collect();
    assert_eq!(named, [1, 0], "the one that it has just left comes last");

    for second in 0..20 {
        room.says(0, 9 * MIB + second, Stage::Leading);
        room.says(1, 5 * MIB + second, following(0));
        let told = if second < 10 { Advice::CarryOn } else { Advice::Move };
        assert_eq!(room.says(2, 3 * MIB + second, following(0)), told, "second {second}");
        if told == Advice::Move {
            return;
        }
        room.wait(1000);
    }
}

#[test]
fn it_is_not_sent_to_somebody_whom_it_has_lost() {
    let mut room = fork([9, 5, 3]);
    assert_eq!(room.says(2, 3 * MIB, following(0)), Advice::Move);
    assert_eq!(first(&room.get_again(2, 3 * MIB, &[1, 0])), Some(0));
}

#[test]
fn of_two_that_are_abreast_one_goes() {
    let mut room = fork([90, 5, 4]);
    let mut told = Vec::new();
    for second in 1..=4 {
        for number in [1, 2] {
            room.wait(500);
            let advice = room.says(number, (5 + 10 * second) * MIB, following(0));
            told.extend((advice == Advice::Move).then_some(number));
        }
        room.says(0, (90 + 10 * second) * MIB, Stage::Leading);
        if let [moves] = told[..] {
            assert_eq!(
                first(&room.get_again(moves, (5 + 10 * second) * MIB, &[0])),
                Some(3 - moves)
            );
            return;
        }
    }
    panic!("nobody was told to move");
}

#[test]
fn it_goes_to_who_serves_nobody_and_stays_if_there_is_none() {
    let mut room = fork([9, 5, 3]);
    assert_eq!(room.says(3, 2 * MIB, following(1)), Advice::CarryOn);
    assert_eq!(room.says(2, 3 * MIB, following(0)), Advice::CarryOn, "node 3 has less than it");
    room.says(3, 4 * MIB, following(1));
    assert_eq!(room.says(2, 3 * MIB, following(0)), Advice::Move);
    assert_eq!(first(&room.get_again(2, 3 * MIB, &[0])), Some(3));
}

#[test]
fn it_goes_to_nobody_of_another_zone_nor_to_one_behind_it() {
    let mut room = fork([9, 5, 3]);
    let elsewhere = Progress { node: node(1, Some("a")), ..says(1, 5 * MIB, following(0)) };
    let _ = room.coordinator.progress(&elsewhere, room.now);
    assert_eq!(room.says(2, 3 * MIB, following(0)), Advice::CarryOn);
    room.says(4, 4 * MIB, following(2));
    assert_eq!(room.says(2, 3 * MIB, following(0)), Advice::CarryOn);
    assert_eq!(room.coordinator.parent_of(&blob(), &at(4)), Some(at(2)));
}
