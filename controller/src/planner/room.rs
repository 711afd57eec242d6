//! Whether an image fits: the node's disk and budget, and what the operator allows.
//!
//! What a node was told already keeps its place. The rest is let in one after the other in the order in
//! which it is wanted, also where it waits for something else then: so an older cache's image is not
//! kept out for good by smaller ones of younger caches.

use super::{
    Board, Disk, Limits, Node, Reason, Report,
    board::{Item, Standing, Stray},
    limits::Usage,
    reason::Namespace,
};

/// Refuses what does not fit on a node.
pub(super) fn refuse(board: &mut Board<'_>, node: usize) {
    let is_free = |board: &Board<'_>, item: &usize| board.items[*item].standing == Standing::Free;
    let Some(first) = board.items_of(node).find(|item| is_free(board, item)) else { return };
    let mut room = left(board, node);
    // What is on its way may take all the room, until it is known what it is.
    let is_unknown = |stray: &Stray<'_>| stray.is_at_work() && stray.is_asked_for;
    let unknown = board.strays_of(node).iter().any(is_unknown);
    for item in first..board.items_of(node).end {
        if !is_free(board, &item) {
            continue;
        }
        let (disk, missing) = sizes(board, item);
        let refusal = match unknown {
            true => Some(Reason::WaitingForResolution),
            false => room.refuses(disk, missing, &mut namespaces(board, item)),
        };
        match refusal {
            Some(reason) => {
                board.items[item].standing = Standing::Waits(board.reasons.add(reason));
            }
            None => {
                room.hold(disk, missing, &mut namespaces(board, item));
                board.groups[board.wanted[board.items[item].wanted].group].free += 1;
            }
        }
    }
}

/// What all that the node was told already leaves.
fn left(board: &Board<'_>, node: usize) -> Room {
    let mut room = Room::of(board.nodes[node], board.limits);
    for stray in board.strays_of(node) {
        let disk = disk_of(board, stray);
        let comes = missing(disk, stray.report, !stray.is_at_work());
        room.hold(disk, comes, &mut std::iter::empty());
    }
    for item in board.items_of(node).filter(|item| board.items[*item].told.is_some()) {
        let (disk, missing) = sizes(board, item);
        room.hold(disk, missing, &mut namespaces(board, item));
    }
    room
}

/// What a stray takes on the disk. Who resolved its name is not asked any more, or does not answer.
fn disk_of(board: &Board<'_>, stray: &Stray<'_>) -> u64 {
    match stray.group {
        Some(group) => board.groups[group].content.disk,
        None => board.sizes.of(&stray.hold.digest, stray.report),
    }
}

/// What an item takes on the disk, and how much of that is still to come.
fn sizes(board: &Board<'_>, index: usize) -> (u64, u64) {
    let item: &Item<'_> = &board.items[index];
    let disk = board.group_of(index).content.disk;
    (disk, missing(disk, item.report, item.is_there()))
}

/// How much of what an image takes on the disk is still to come.
fn missing(disk: u64, report: Option<&Report>, is_done: bool) -> u64 {
    if is_done { 0 } else { disk.saturating_sub(report.map_or(0, |report| report.bytes)) }
}

fn namespaces<'b>(board: &'b Board<'_>, item: usize) -> impl Iterator<Item = &'b Namespace> {
    board.caches_of(item).map(move |cache| &board.caches[cache].id.namespace)
}

/// What is left on one node.
struct Room {
    limits: Limits,
    disk: Option<Disk>,
    all: Usage,
    namespaces: Vec<(Namespace, Usage)>,
}

// === impl Room ===

impl Room {
    fn of(node: &Node, limits: Limits) -> Self {
        Self { limits, disk: node.disk, all: Usage::default(), namespaces: Vec::new() }
    }

    /// Takes `disk` bytes, of which `missing` are still to come.
    fn hold(&mut self, disk: u64, missing: u64, namespaces: &mut dyn Iterator<Item = &Namespace>) {
        self.all.add(disk);
        if let Some(left) = &mut self.disk {
            left.free = left.free.saturating_sub(missing);
            left.budget = left.budget.saturating_sub(disk);
        }
        for namespace in namespaces {
            match self.namespaces.iter_mut().find(|(known, _)| known == namespace) {
                Some((_, usage)) => usage.add(disk),
                None => {
                    let mut usage = Usage::default();
                    usage.add(disk);
                    self.namespaces.push((namespace.clone(), usage));
                }
            }
        }
    }

    fn refuses(
        &self,
        disk: u64,
        missing: u64,
        namespaces: &mut dyn Iterator<Item = &Namespace>,
    ) -> Option<Reason> {
        if !self.limits.node.admits(self.all, disk) {
            return Some(Reason::LimitReached { namespace: None });
        }
        if let Some(namespace) = self.full(disk, namespaces) {
            return Some(Reason::LimitReached { namespace: Some(namespace) });
        }
        let left = self.disk?;
        let over = |needs, left| Reason::OverDiskBudget { needs, left };
        if disk > left.budget {
            return Some(over(disk, left.budget));
        }
        (missing > left.free).then(|| over(missing, left.free))
    }

    /// The first namespace, when none of them may have more.
    fn full(
        &self,
        disk: u64,
        namespaces: &mut dyn Iterator<Item = &Namespace>,
    ) -> Option<Namespace> {
        let used = |namespace| {
            let known = self.namespaces.iter().find(|(known, _)| known == namespace);
            known.map_or(Usage::default(), |(_, usage)| *usage)
        };
        let mut full = None;
        for namespace in namespaces {
            if self.limits.namespace.admits(used(namespace), disk) {
                return None;
            }
            full.get_or_insert(namespace.clone());
        }
        full
    }
}
