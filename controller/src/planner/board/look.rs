//! What a node was told and what it reports, beside what it is to hold.

use super::{Board, Item, Line, Pool, Standing, Stray};
use crate::planner::{Digest, Hold, Report};

/// A report of an image that nobody wants on the node.
struct Other<'a> {
    digest: &'a Digest,
    report: &'a Report,
    /// The node was told to hold it.
    told: bool,
}

/// Looks at a node. Nodes are looked at once each, in their order.
pub(in crate::planner) fn at(board: &mut Board<'_>, node: usize) {
    let first = board.items.len();
    for wanted in board.pools[board.pool_of[node]].wanted.clone() {
        board.groups[board.wanted[wanted].group].items.push(board.items.len());
        board.items.push(Item::new(node, wanted));
    }
    board.items_of.push(first..board.items.len());
    let mut others = reported(board, node, first);
    told(board, node, first, &mut others);
    for other in others.iter().filter(|other| !other.told) {
        let group = board.catalogue.group(other.digest, &board.nodes[node].platform);
        give(board, node, group, other.report);
    }
}

/// Takes in what the node was told. Its list is in the order of its pool's, and it has the strays that the node
/// before it had, mostly.
fn told<'a>(board: &mut Board<'a>, index: usize, first: usize, others: &mut [Other<'a>]) {
    let (node, pool) = (board.nodes[index], board.pool_of[index]);
    let (strays, kept, mut next) = (board.strays.len(), board.kept.len(), 0);
    for hold in &node.holds {
        let before = board.stray_before(pool, board.strays.len() - strays);
        let before = before.filter(|before| before.hold.digest == hold.digest);
        let group = before.map(|before| before.group);
        let place = match group {
            Some(_) => None,
            None => position(board, &board.pools[pool], next, &hold.digest),
        };
        if let Some(place) = place {
            board.tell(first + place, hold);
            let lines = board.undecided(index, hold);
            keep(board, index, hold, board.items[first + place].report, &lines);
            next = place + 1;
            continue;
        }
        let group = group.unwrap_or_else(|| board.catalogue.group(&hold.digest, &node.platform));
        let report = of(others, &hold.digest);
        let lines = board.undecided(index, hold);
        keep(board, index, hold, report, &lines);
        let is_asked_for = lines.iter().any(|line| board.lines[*line].resolution.is_none());
        let undecided = board.caches_of_lines(&lines);
        board.strays.push(Stray { node: index, hold, report, group, undecided, is_asked_for });
        report.into_iter().for_each(|report| give(board, index, group, report));
    }
    board.strays_of.push(strays..board.strays.len());
    board.kept_of.push(kept..board.kept.len());
    board.pools[pool].strays = strays..board.strays.len();
}

/// Notes for which lines that are not resolved a node holds what it was told. It counts as warm for them: a controller that
/// takes over changes nothing, and until a registry says something else this is what the name stands for.
fn keep(
    board: &mut Board<'_>,
    index: usize,
    hold: &Hold,
    report: Option<&Report>,
    lines: &[usize],
) {
    let node = board.nodes[index];
    let answers = |report: &&Report| report.is_warm() && report.generation >= hold.generation;
    if node.virtual_node || report.filter(answers).is_none() {
        return;
    }
    for line in lines {
        board.lines[*line].warm += usize::from(node.is_available());
        board.kept.push(*line);
    }
}

/// The report of that digest. They are in the order of digests.
fn of<'a>(others: &mut [Other<'a>], digest: &Digest) -> Option<&'a Report> {
    let found = others.binary_search_by(|other| other.digest.cmp(digest)).ok()?;
    others[found].told = true;
    Some(others[found].report)
}

/// Notes which images a node can give to others, whether it is meant to hold them or not.
fn give(board: &mut Board<'_>, node: usize, group: Option<usize>, report: &Report) {
    if let Some(group) = group.filter(|_| report.complete && board.nodes[node].is_available()) {
        board.groups[group].held = true;
    }
}

/// Where in the pool's list that digest is, trying first where it probably is.
fn position(board: &Board<'_>, pool: &Pool, next: usize, digest: &Digest) -> Option<usize> {
    let of = |place: usize| board.digest_of(pool.wanted.start + place);
    if next < pool.wanted.len() && of(next) == digest {
        return Some(next);
    }
    let found = pool.by_digest.binary_search_by(|place| of(*place).cmp(digest));
    found.ok().map(|found| pool.by_digest[found])
}

/// Takes in what the node reports; returns what nobody wants there.
fn reported<'a>(board: &mut Board<'a>, index: usize, first: usize) -> Vec<Other<'a>> {
    let mut others = Vec::new();
    // Both are in the order of digests.
    let mut next = 0;
    for (digest, report) in &board.nodes[index].reports {
        let pool = &board.pools[board.pool_of[index]];
        let wanted = |next: usize| {
            pool.by_digest.get(next).map(|place| board.digest_of(pool.wanted.start + place))
        };
        if wanted(next) != Some(digest) {
            while wanted(next).is_some_and(|wanted| wanted < digest) {
                next += 1;
            }
        }
        if wanted(next) != Some(digest) {
            others.push(Other { digest, report, told: false });
            continue;
        }
        let item = first + pool.by_digest[next];
        next += 1;
        board.hear(item, report);
        give(board, index, Some(board.wanted_of(item).group), report);
    }
    others
}

// === impl Board ===

impl<'a> Board<'a> {
    /// The lines for which the node was told of this image, and of which it is not known what they stand for: a
    /// registry has not answered, or is down.
    fn undecided(&self, node: usize, hold: &Hold) -> Vec<usize> {
        let asks = |line: &usize| {
            let Line { name, cache, .. } = self.lines[*line];
            hold.refs.contains(name) && hold.caches.contains(&self.caches[cache].id)
        };
        self.pools[self.pool_of[node]].undecided.iter().copied().filter(asks).collect()
    }

    /// The caches that the node was told of this image for, and that may want it still: a registry has not answered
    /// yet.
    pub(in crate::planner) fn asking(&self, node: usize, hold: &Hold) -> Vec<usize> {
        let mut lines = self.undecided(node, hold);
        lines.retain(|line| self.lines[*line].resolution.is_none());
        self.caches_of_lines(&lines)
    }

    /// The caches of these lines, each once.
    fn caches_of_lines(&self, lines: &[usize]) -> Vec<usize> {
        let mut caches: Vec<usize> = lines.iter().map(|line| self.lines[*line].cache).collect();
        caches.dedup();
        caches
    }

    /// The stray at that place of the pool's node that was looked at last.
    fn stray_before(&self, pool: usize, place: usize) -> Option<&Stray<'a>> {
        self.strays[self.pools[pool].strays.clone()].get(place)
    }

    fn tell(&mut self, item: usize, hold: &'a Hold) {
        let item = &mut self.items[item];
        item.told = Some(hold);
        // The same text, which nodes share: the next one is told from others at a glance.
        self.groups[self.wanted[item.wanted].group].digest = &hold.digest;
    }

    fn hear(&mut self, item: usize, report: &'a Report) {
        let item = &mut self.items[item];
        (item.report, item.state) = (Some(report), Some(report.state));
        let upstream = &mut self.wanted[item.wanted].upstream;
        *upstream = upstream.saturating_add(report.upstream);
    }
}

// === impl Item ===

impl Item<'_> {
    fn new(node: usize, wanted: usize) -> Self {
        let (told, report, state) = (None, None, None);
        Self { node, wanted, told, report, state, answers: false, standing: Standing::Free }
    }
}
