//! Turns: how many nodes of a cache may be at work at once.
//!
//! A node is at work for a cache as long as it was told of an image that the cache wants and does not hold
//! it. A second image of the same cache takes no second turn: a node brings in one after the other. A
//! cache gives turns as long as it has some; what a node does for another cache too counts for both,
//! whoever gave the turn, so a cache never waits for another's limit. That may lead to more nodes than a cache
//! would have told itself: then it gives nothing more, not even to these, until they are done.

use std::collections::BTreeSet;

use super::{
    Board, Reason,
    board::{Item, Standing},
    history::{Setback, backoff},
};

/// Turns given and left.
#[derive(Debug, Default)]
pub(super) struct Turns {
    most: Vec<usize>,
    given: Vec<usize>,
    /// By cache and node.
    busy: Vec<Vec<bool>>,
}

/// What a node does for a cache.
#[derive(Clone, Copy, Default)]
struct Part {
    works: bool,
    fails: bool,
    waits: bool,
}

// === impl Turns ===

impl Turns {
    pub(super) fn new(most: Vec<usize>, nodes: usize) -> Self {
        Self { given: vec![0; most.len()], busy: vec![vec![false; nodes]; most.len()], most }
    }

    pub(super) fn most(&self, cache: usize) -> usize {
        self.most[cache]
    }

    /// Whether the node may be told of one more image of the cache: it has a turn already, or there is
    /// one left.
    pub(super) fn has_one(&self, cache: usize, node: usize) -> bool {
        let others = self.given[cache] - usize::from(self.busy[cache][node]);
        others < self.most[cache]
    }

    pub(super) fn take(&mut self, cache: usize, node: usize) {
        if !std::mem::replace(&mut self.busy[cache][node], true) {
            self.given[cache] += 1;
        }
    }

    fn give_back(&mut self, cache: usize, node: usize) {
        if std::mem::replace(&mut self.busy[cache][node], false) {
            self.given[cache] -= 1;
        }
    }
}

/// Counts the nodes that are at work, and takes turns back from those that do not get on while others
/// wait for one.
pub(super) fn deal(board: &mut Board<'_>) {
    let mut fails = false;
    for stray in board.strays.iter().filter(|stray| stray.is_at_work()) {
        stray.undecided.iter().for_each(|cache| board.turns.take(*cache, stray.node));
    }
    for item in 0..board.items.len() {
        if is_at_work(&board.items[item]) {
            fails |= matches!(board.items[item].standing, Standing::Failing(_));
            take(board, item);
            take_for_asking(board, item);
        }
    }
    if !fails {
        return;
    }
    for cache in 0..board.caches.len() {
        if board.turns.given[cache] >= board.turns.most[cache] {
            take_back(board, cache);
        }
    }
}

/// Gives the item's node a turn of each cache that wants it.
pub(super) fn take(board: &mut Board<'_>, item: usize) {
    let Item { node, wanted, .. } = board.items[item];
    board.wanted[wanted].caches.iter().for_each(|cache| board.turns.take(*cache, node));
}

/// Gives it one of each cache that may turn out to want what the node was told, too.
fn take_for_asking(board: &mut Board<'_>, item: usize) {
    let Item { node, told: Some(told), .. } = board.items[item] else { return };
    let asking = board.asking(node, told);
    asking.into_iter().for_each(|cache| board.turns.take(cache, node));
}

/// What it holds already and is only to be told of is no work.
fn is_at_work(item: &Item<'_>) -> bool {
    matches!(item.standing, Standing::UnderWay | Standing::Failing(_)) && !item.is_there()
}

fn take_back(board: &mut Board<'_>, cache: usize) {
    let mut parts = vec![Part::default(); board.nodes.len()];
    let items = items_of(board, cache);
    for &item in &items {
        let part = &mut parts[board.items[item].node];
        match board.items[item].standing {
            Standing::UnderWay => part.works = true,
            Standing::Failing(_) => part.fails = true,
            Standing::Free => part.waits = true,
            _ => {}
        }
    }
    let strays = board.strays.iter().filter(|stray| stray.is_at_work());
    for stray in strays.filter(|stray| stray.undecided.contains(&cache)) {
        parts[stray.node].works = true;
    }
    // Who has a turn itself waits too, where more were given than there are.
    let over = board.turns.given[cache] > board.turns.most[cache];
    let waits = |part: &&Part| part.waits && !part.works && (over || !part.fails);
    let waiting = parts.iter().filter(waits).count();
    let failing = (0..parts.len()).filter(|node| parts[*node].fails && !parts[*node].works);
    let nodes: BTreeSet<usize> = failing.take(waiting).collect();
    for item in items {
        let node = board.items[item].node;
        if nodes.contains(&node) {
            set_back(board, item);
            board.turns.give_back(cache, node);
        }
    }
}

/// Those that the cache wants and the node lacks.
fn items_of(board: &Board<'_>, cache: usize) -> Vec<usize> {
    let lacks_it = |item: &usize| !board.items[*item].is_there();
    let wants = |item: &usize| board.wanted_of(*item).caches.contains(&cache);
    (0..board.items.len()).filter(lacks_it).filter(wants).collect()
}

/// Takes the item out of the node's list for a while.
fn set_back(board: &mut Board<'_>, item: usize) {
    let Standing::Failing(why) = board.items[item].standing else { return };
    let because = board.reasons.get(why).clone();
    let key = (board.node_of(item).name.clone(), board.group_of(item).digest.clone());
    let count = board.history.setbacks.get(&key).map_or(0, |before| before.count) + 1;
    let retry = board.now + backoff(count);
    board.alarm.set(retry);
    let reason = because.clone();
    board.history.setbacks.insert(key, Setback { count, retry, reason });
    let waits = Reason::WaitingForRetry { after: retry, because: Box::new(because) };
    board.items[item].standing = Standing::Waits(board.reasons.add(waits));
}
