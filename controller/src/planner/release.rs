//! Telling the other nodes: as soon as they can get the image from somebody, and have a turn.

use super::{
    Board, Reason, Strategy,
    board::{Stage, Standing},
    together::Together,
    turns,
};

/// Tells the nodes whose time has come, and gives the others a reason. Image after image, so that the
/// first one is everywhere before a later one takes turns.
pub(super) fn release(board: &mut Board<'_>) {
    let together = Together::new(board);
    for group in 0..board.groups.len() {
        if board.groups[group].free == 0 {
            continue;
        }
        for place in 0..board.groups[group].items.len() {
            let item = board.groups[group].items[place];
            if board.items[item].standing == Standing::Free {
                tell(board, &together, item);
            }
        }
    }
}

fn tell(board: &mut Board<'_>, together: &Together, item: usize) {
    let standing = match decide(board, item).or_else(|| for_others(board, together, item)) {
        None => Standing::Told,
        Some(reason) => Standing::Waits(board.reasons.add(reason)),
    };
    board.items[item].standing = standing;
    if standing == Standing::Told && !board.items[item].is_there() {
        turns::take(board, item);
    }
}

/// What the node has to wait for, if it has.
fn decide(board: &Board<'_>, item: usize) -> Option<Reason> {
    if board.items[item].is_there() {
        return None;
    }
    let stage = board.group_of(item).stage;
    let node = board.items[item].node;
    let mut waits = None;
    for cache in board.caches_of(item).filter(|cache| board.caches[*cache].gate.is_open()) {
        if !may_follow(board.caches[cache].strategy, stage) {
            continue;
        }
        if board.turns.has_one(cache, node) {
            return None;
        }
        waits.get_or_insert(Reason::WaitingForTurn { most: board.turns.most(cache) });
    }
    Some(waits.unwrap_or_else(|| for_seed(board, item)))
}

fn may_follow(strategy: Strategy, stage: Stage) -> bool {
    match strategy {
        Strategy::Stream => matches!(stage, Stage::Announced | Stage::Held),
        Strategy::Staged => stage == Stage::Held,
    }
}

/// Whether one of the caches that may give the item a turn now has one.
pub(super) fn has_turn(board: &Board<'_>, item: usize) -> bool {
    let node = board.items[item].node;
    let mut caches = board.caches_of(item).filter(|cache| board.caches[*cache].gate.is_open());
    caches.any(|cache| board.turns.has_one(cache, node))
}

/// What a node waits for that is told of this image and of others together, a moment later.
fn for_others(board: &mut Board<'_>, together: &Together, item: usize) -> Option<Reason> {
    let until = together.until(board, item)?;
    board.alarm.set(until);
    Some(for_seed(board, item))
}

/// Without a seed, who could be one but has no turn waits for that.
fn for_seed(board: &Board<'_>, item: usize) -> Reason {
    let group = board.group_of(item);
    if group.seed.is_none() && group.next_seed.is_none() && !has_turn(board, item) {
        let most = board.caches_of(item).map(|cache| board.turns.most(cache)).max().unwrap_or(0);
        return Reason::WaitingForTurn { most };
    }
    let seed = group.seed.map(|seed| board.node_of(seed).name.clone());
    Reason::WaitingForSeed { seed, next: group.next_seed }
}
