//! Parents that are slow, and who leaves them for whom.

use onepull_mirror::claim::{Advice, Stage, Verdict};

use crate::support::{Room, at, blob, first, following, number};

const MIB: u64 = 1 << 20;

/// A chain of five, at ten megabytes a second for three seconds.
struct Chain {
    room: Room,
    have: [u64; 5],
}

impl Chain {
    fn new() -> Self {
        let mut chain = Self { room: Room::chain(5), have: [1000, 999, 998, 997, 996] };
        for _ in 0..3 {
            assert_eq!(chain.second([10; 5]), [Advice::CarryOn; 5]);
        }
        chain
    }

    /// Everybody gets so many megabytes and says so, the lead first.
    fn second(&mut self, megabytes: [u64; 5]) -> [Advice; 5] {
        self.room.wait(1000);
        let mut advice = [Advice::CarryOn; 5];
        for (node, more) in (0u16..).zip(megabytes) {
            let seat = usize::from(node);
            self.have[seat] += more * MIB;
            advice[seat] = self.room.says(node, self.have[seat], self.stage(node));
        }
        advice
    }

    fn stage(&self, node: u16) -> Stage {
        let parent = self.room.coordinator.parent_of(&blob(), &at(node));
        parent.map_or(Stage::Leading, |parent| following(number(parent)))
    }

    /// The link of node 2 drops to a tenth, until node 3 is told to move.
    fn slow_down(&mut self) {
        assert_eq!(self.second([10, 10, 1, 1, 1]), [Advice::CarryOn; 5], "one slow second");
        let advice = self.second([10, 10, 1, 1, 1]);
        let [move_on, stay] = [Advice::Move, Advice::CarryOn];
        assert_eq!(advice, [stay, stay, stay, move_on, stay]);
    }
}

#[test]
fn the_child_of_a_slow_node_goes_to_its_grandparent_and_takes_its_own_children_along() {
    let mut chain = Chain::new();
    chain.slow_down();
    assert_eq!(first(&chain.room.get_again(3, chain.have[3], &[2])), Some(1));
    let parents = [3, 4].map(|node| chain.room.coordinator.parent_of(&blob(), &at(node)));
    assert_eq!(parents, [Some(at(1)), Some(at(3))]);
    assert_eq!(chain.room.coordinator.counters().moves, 1);
}

#[test]
fn nobody_new_is_sent_to_a_slow_node_while_there_is_another() {
    let mut chain = Chain::new();
    chain.slow_down();
    let Verdict::Follow(parents) = chain.room.get(9) else { panic!("a follower") };
    assert!(parents.iter().all(|parent| parent.peer.endpoint != at(2)), "{parents:?}");
    assert_eq!(first(&chain.room.get_again(8, 5, &[0, 1, 3, 4, 9])), Some(2));
}

#[test]
fn one_that_was_told_to_move_and_is_left_without_a_better_parent_stays() {
    let mut chain = Chain::new();
    chain.slow_down();
    let room = &mut chain.room;
    room.says(0, 0, Stage::Gone);
    room.says(1, 0, Stage::Gone);
    assert_eq!(first(&room.get_again(3, chain.have[3], &[2])), Some(2));
}

#[test]
fn a_slow_parent_that_was_left_is_not_taken_for_dead() {
    let mut chain = Chain::new();
    chain.slow_down();
    chain.room.get_again(3, chain.have[3], &[2]);
    chain.room.wait(2000);
    chain.room.coordinator.expire(chain.room.now);
    assert_eq!(chain.room.coordinator.members(), 5);
}

#[test]
fn advice_to_move_that_got_lost_is_given_again() {
    let mut chain = Chain::new();
    chain.slow_down();
    for _ in 0..2 {
        assert_eq!(chain.second([10, 10, 1, 1, 1])[3], Advice::Move);
    }
    // Of node 3, and of node 2, to see if it is the way from its parent that is slow.
    assert_eq!(chain.room.coordinator.counters().moves, 2);
}

#[test]
fn nobody_moves_when_the_registry_is_what_is_slow() {
    let mut chain = Chain::new();
    for _ in 0..20 {
        assert_eq!(chain.second([1; 5]), [Advice::CarryOn; 5]);
    }
}

#[test]
fn nobody_moves_for_a_pause_that_is_made_up_for() {
    let mut chain = Chain::new();
    for _ in 0..5 {
        assert_eq!(chain.second([10, 10, 1, 1, 1]), [Advice::CarryOn; 5]);
        assert_eq!(chain.second([10, 10, 19, 19, 19]), [Advice::CarryOn; 5]);
    }
}

#[test]
fn who_gets_nothing_from_a_parent_that_stands_still_alone_goes_to_another() {
    let mut chain = Chain::new();
    for _ in 0..2 {
        assert_eq!(chain.second([10, 10, 0, 0, 0])[4], Advice::CarryOn);
    }
    let mut parent =
        |node: u16| first(&chain.room.get_again(node, chain.have[usize::from(node)], &[]));
    assert_eq!(parent(4), Some(3), "that one has no more to get either");
    assert_eq!(parent(3), Some(1));
    assert_eq!(parent(4), Some(3));
}

#[test]
fn who_gets_nothing_because_nobody_does_stays_where_it_is() {
    let mut chain = Chain::new();
    for _ in 0..2 {
        chain.second([0; 5]);
    }
    for node in 2..5 {
        let again = chain.room.get_again(node, chain.have[usize::from(node)], &[]);
        assert_eq!(first(&again), Some(node - 1));
    }
}
