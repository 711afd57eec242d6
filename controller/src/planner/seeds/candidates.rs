//! Who is the seed, and who could be.

use std::{cmp::Reverse, collections::HashMap};

use crate::planner::{
    Board, NodeName, Parting, Reason,
    board::{Stage, Standing},
    history::SeedRecord,
    release::has_turn,
};

/// The node that was told to pull from the registry. If two were, by a controller that died between
/// two writes, the one that gets on, or has more of it.
pub(super) fn current(board: &Board<'_>, group: usize) -> Option<usize> {
    let is_placed = |index: &&usize| board.items[**index].is_placed();
    let rank = |index: &&usize| {
        let item = &board.items[**index];
        let fails = matches!(item.standing, Standing::Failing(_)) || !board.nodes[item.node].ready;
        (fails, Reverse(bytes(board, **index)), **index)
    };
    board.groups[group].upstream.iter().filter(is_placed).min_by_key(rank).copied()
}

/// The best of them: who failed least often; who has most of it already, so that little is sent twice;
/// who is the seed of fewest images, as a node brings in one after the other, and all others would wait for
/// each; else the ready node with the most free disk.
pub(super) fn best(
    board: &Board<'_>,
    group: usize,
    among: &[usize],
    record: &SeedRecord,
) -> Option<usize> {
    let seed = board.groups[group].seed;
    let duties = duties(board, group);
    let rank = |index: &&usize| {
        let node = board.node_of(**index);
        let fails = matches!(board.items[**index].standing, Standing::Failing(_));
        let free = node.disk.map_or(0, |disk| disk.free);
        let trust = (record.failures_of(&node.name), fails, !node.schedulable);
        let duties = duties.get(&board.items[**index].node).copied().unwrap_or(0);
        (trust, Reverse(bytes(board, **index)), duties, Reverse(free), **index)
    };
    let candidates = among.iter().filter(|item| Some(**item) == seed || could_be(board, **item));
    // A seed that holds the image and is out of reach is none.
    let lacks_it = |item: &&usize| board.items[**item].standing != Standing::Warm;
    candidates.filter(lacks_it).min_by_key(rank).copied()
}

/// By node: of how many other images, chosen by now, it is the seed and nobody has them yet.
fn duties(board: &Board<'_>, group: usize) -> HashMap<usize, usize> {
    let mut duties = HashMap::new();
    for (index, other) in board.groups.iter().enumerate() {
        if let Some(seed) = other.seed.filter(|_| index != group && other.stage != Stage::Held) {
            *duties.entry(board.items[seed].node).or_default() += 1;
        }
    }
    duties
}

fn could_be(board: &Board<'_>, index: usize) -> bool {
    match board.items[index].standing {
        Standing::UnderWay => true,
        Standing::Failing(why) => {
            let reason = board.reasons.get(why);
            !matches!(reason, Reason::NodeNotReady | Reason::WaitingForAgent)
        }
        Standing::Free => !board.items[index].is_there() && has_turn(board, index),
        _ => false,
    }
}

fn bytes(board: &Board<'_>, item: usize) -> u64 {
    board.items[item].report.map_or(0, |report| report.bytes)
}

/// Why the last seed is the seed no longer, though nobody took its place.
pub(super) fn parting(board: &Board<'_>, group: usize, node: &NodeName) -> Parting {
    let items = board.groups[group].items.iter();
    let item = items.copied().find(|item| &board.node_of(*item).name == node);
    let reason = item.and_then(|item| match board.items[item].standing {
        Standing::Waits(why) => Some(board.reasons.get(why)),
        _ => None,
    });
    match reason {
        Some(Reason::WaitingForRetry { because, .. }) => Parting::Failed((**because).clone()),
        _ if board.groups[group].held => Parting::OutOfReach,
        _ => Parting::Gone,
    }
}
