//! Telling a node of several images at once. Each time that a node is told something costs a write, an answer
//! and a look at all nodes; and the seeds of a rollout answer one after the other, a moment apart.

use jiff::{SignedDuration, Timestamp};

use super::{
    Board,
    board::{Stage, Standing},
};

/// How long an image that can be had waits for others whose seeds have not answered yet. Agents answer
/// within a second.
const IDLE: SignedDuration = SignedDuration::from_secs(5);

/// The same on a node that brings something in meanwhile, and so loses nothing. With thousands of agents answers
/// wait in the API server for a minute.
const AT_WORK: SignedDuration = SignedDuration::from_mins(1);

/// Who can be told more in a moment.
pub(super) struct Together {
    /// By pool: the seed of an image of its nodes has not answered yet.
    expecting: Vec<bool>,
    /// By node: it brings something in.
    at_work: Vec<bool>,
}

// === impl Together ===

impl Together {
    pub(super) fn new(board: &Board<'_>) -> Self {
        let expected: Vec<bool> =
            (0..board.groups.len()).map(|group| is_expected(board, group)).collect();
        let expecting = board.pools.iter().map(|pool| {
            board.wanted[pool.wanted.clone()].iter().any(|wanted| expected[wanted.group])
        });
        let mut at_work = vec![false; board.nodes.len()];
        // Most plans expect nobody.
        if expected.contains(&true) {
            let items = board.items.iter().filter(|item| item.standing == Standing::UnderWay);
            items.filter(|item| !item.is_there()).for_each(|item| at_work[item.node] = true);
        }
        Self { expecting: expecting.collect(), at_work }
    }

    /// Until when a node is not told of an image that it could have. Of what it has already it is told at
    /// once: that costs nothing.
    pub(super) fn until(&self, board: &Board<'_>, item: usize) -> Option<Timestamp> {
        let node = board.items[item].node;
        if !self.expecting[board.pool_of[node]] || board.items[item].is_there() {
            return None;
        }
        let patience = if self.at_work[node] { AT_WORK } else { IDLE };
        let until = board.group_of(item).reachable? + patience;
        (until > board.now).then_some(until)
    }
}

/// Whether it can be had as soon as its seed answers. A seed that says that others come first is not waited for.
fn is_expected(board: &Board<'_>, group: usize) -> bool {
    let group = &board.groups[group];
    let unanswered = |seed: usize| !board.items[seed].answers;
    group.stage == Stage::Chosen && group.seed.is_some_and(unanswered)
}
