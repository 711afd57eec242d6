//! From decisions to the lists that each node is to be given.

use std::{collections::BTreeMap, iter::Peekable, slice, sync::Arc};

use super::{
    Board, CacheId, Hold, ImageRef, Lack, NodeName, NodePlan, Removal, Report, Source,
    board::{Item, ItemLines, MOST_NAMES, Stray},
    leaving::{Fate, Leaving},
    standing::has_it,
    summary,
};

/// Writes the lists of all nodes.
pub(super) fn nodes(board: &Board<'_>) -> BTreeMap<NodeName, NodePlan> {
    let leaving = Leaving::new(board);
    let mut writer = Writer::new(board);
    let mut strays = board.strays.iter().peekable();
    (0..board.nodes.len())
        .map(|node| {
            let mut plan = NodePlan { lacks: lacks(board, node), ..NodePlan::default() };
            let items = board.items_of[node].clone();
            plan.holds.reserve(items.len());
            let placed = items.filter(|item| board.items[*item].is_placed());
            plan.holds.extend(placed.map(|item| writer.hold(&leaving, item)));
            part(&leaving, node, &mut strays, &mut plan);
            (board.nodes[node].name.clone(), plan)
        })
        .collect()
}

fn lacks(board: &Board<'_>, node: usize) -> Vec<Lack> {
    let wants = &board.wants[board.wants_of[node].clone()];
    let lack = |want| {
        let reason = summary::reason(board, node, want)?;
        let line = &board.lines[want.line];
        let cache = board.caches[line.cache].id.clone();
        Some(Lack { cache, image: line.name.clone(), reason })
    };
    let mut found = wants.iter().filter_map(lack);
    // Most nodes lack nothing or a lot.
    let Some(first) = found.next() else { return Vec::new() };
    let mut lacks = Vec::with_capacity(wants.len());
    lacks.push(first);
    lacks.extend(found);
    lacks
}

/// The names of an item, and who wants it.
struct Terms {
    lines: ItemLines,
    refs: Arc<[ImageRef]>,
    caches: Arc<[CacheId]>,
}

/// Writes holds. Nodes that want an image by the same lines share one list of its names.
struct Writer<'b, 'a> {
    board: &'b Board<'a>,
    /// By group: what was written last.
    terms: Vec<Option<Terms>>,
}

// === impl Writer ===

impl<'b, 'a> Writer<'b, 'a> {
    fn new(board: &'b Board<'a>) -> Self {
        Self { board, terms: board.groups.iter().map(|_| None).collect() }
    }

    /// What a node is told of an image that somebody wants there.
    fn hold(&mut self, leaving: &Leaving<'_, '_>, index: usize) -> Hold {
        let item = &self.board.items[index];
        let (mut refs, mut caches) = self.terms(index);
        let all_want_it = |told: &Hold| told.caches.iter().all(|id| caches.contains(id));
        if let Some(told) = item.told.filter(|told| has_it(item) && !all_want_it(told)) {
            let staying = leaving.staying(item.node, told, &mut self.board.caches_of(index));
            if !staying.is_empty() {
                let taken = leaving.taken(item.node, Some(index));
                refs = with(&refs, leaving.names(told, &taken));
                caches = with(&caches, staying);
            }
        }
        let generation = generation(item, &refs);
        let digest = self.board.groups[item.group].digest.clone();
        Hold { digest, refs, source: item.source, generation, caches }
    }

    fn terms(&mut self, index: usize) -> (Arc<[ImageRef]>, Arc<[CacheId]>) {
        let item = &self.board.items[index];
        let known = self.terms[item.group].take().filter(|known| known.lines == item.lines);
        let terms = known.unwrap_or_else(|| Terms::new(self.board, index));
        let both = (terms.refs.clone(), terms.caches.clone());
        self.terms[item.group] = Some(terms);
        both
    }
}

// === impl Terms ===

impl Terms {
    fn new(board: &Board<'_>, index: usize) -> Self {
        let lines = board.items[index].lines.clone();
        let mut refs: Vec<ImageRef> = Vec::with_capacity(lines.len());
        lines.iter().for_each(|line| push_new(&mut refs, board.lines[line].name));
        let caches = board.caches_of(index).map(|cache| board.caches[cache].id.clone()).collect();
        Self { lines, refs: refs.into(), caches }
    }
}

/// Those, and these that are not among them; as many as there is room for.
fn with<T: Clone + PartialEq>(those: &[T], these: Vec<T>) -> Arc<[T]> {
    let mut all = those.to_vec();
    these.iter().for_each(|one| push_new(&mut all, one));
    all.truncate(MOST_NAMES);
    all.into()
}

fn push_new<T: Clone + PartialEq>(names: &mut Vec<T>, name: &T) {
    if !names.contains(name) {
        names.push(name.clone());
    }
}

/// Grows when something new is asked of the node: a name more, or another source as long as it has
/// not got the image.
fn generation(item: &Item<'_>, refs: &[ImageRef]) -> u64 {
    let seen = item.report.map_or(0, |report| report.generation);
    let Some(told) = item.told else { return seen + 1 };
    let same_source = told.source == item.source || has_it(item);
    match same_source && refs.iter().all(|name| told.refs.contains(name)) {
        true => told.generation,
        false => told.generation.max(seen) + 1,
    }
}

/// What becomes of images that nobody wants there any more.
fn part(
    leaving: &Leaving<'_, '_>,
    node: usize,
    strays: &mut Peekable<slice::Iter<'_, Stray<'_>>>,
    plan: &mut NodePlan,
) {
    plan.removals.extend(leaving.pending(node).cloned());
    let mut taken = None;
    while let Some(stray) = strays.next_if(|stray| stray.node == node) {
        let (hold, digest) = (stray.hold, stray.hold.digest.clone());
        let taken = taken.get_or_insert_with(|| leaving.taken(node, None));
        let refs = leaving.names(hold, taken);
        match leaving.fate(stray) {
            Fate::Forgotten => {}
            Fate::Stays(caches) => {
                let source = stray.source();
                let generation = stray_generation(stray, &refs, source);
                let (refs, caches) = (refs.into(), caches.into());
                plan.holds.push(Hold { digest, refs, source, generation, caches });
            }
            Fate::Removed => {
                plan.removals.retain(|old| old.digest != digest);
                plan.removals.push(Removal { digest, refs });
            }
        }
    }
}

fn stray_generation(stray: &Stray<'_>, refs: &[ImageRef], source: Source) -> u64 {
    let same = source == stray.hold.source || stray.report.is_some_and(Report::is_warm);
    let known = refs.iter().all(|name| stray.hold.refs.contains(name) || is_digest(name));
    stray.hold.generation + u64::from(!same || !known)
}

/// `repository@digest` is a name that whoever pulled the image has given it already.
fn is_digest(name: &ImageRef) -> bool {
    name.as_str().contains('@')
}
