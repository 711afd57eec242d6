//! From decisions to the lists that each node is to be given.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Board, CacheId, Hold, ImageRef, Lack, NodeName, NodePlan, Removal, Report, Source,
    board::{Item, MOST_NAMES, Stray, Wanted},
    leaving::{Fate, Formers, Leaving},
    summary,
};

/// Writes the lists of all nodes.
pub(super) fn nodes(board: &Board<'_>) -> BTreeMap<NodeName, NodePlan> {
    let leaving = Leaving::new(board);
    let mut formers = Formers::default();
    let mut writer = Writer::new(board);
    (0..board.nodes.len())
        .map(|node| {
            let mut plan = NodePlan { lacks: lacks(board, node), ..NodePlan::default() };
            let items = board.items_of(node);
            plan.holds.reserve(items.len());
            let placed = items.filter(|item| board.items[*item].is_placed());
            plan.holds.extend(placed.map(|item| writer.hold(&leaving, item)));
            part(&leaving, &mut formers, node, &mut plan);
            (board.nodes[node].name.clone(), plan)
        })
        .collect()
}

fn lacks(board: &Board<'_>, node: usize) -> Vec<Lack> {
    let wants = board.wants_of(node);
    let lack = |want| {
        let reason = summary::reason(board, node, want)?.clone();
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
    lines: Vec<usize>,
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
        let all_want_it = |told: &Hold| {
            Arc::ptr_eq(&told.caches, &caches) || told.caches.iter().all(|id| caches.contains(id))
        };
        if let Some(told) = item.told.filter(|told| item.is_there() && !all_want_it(told)) {
            let former = leaving.former(told);
            let staying = leaving.staying(item.node, &former, &mut self.board.caches_of(index));
            if !staying.is_empty() {
                let taken = leaving.taken(item.node, Some(index));
                refs = with(&refs, former.names_but(&taken));
                caches = with(&caches, staying);
            }
        }
        let source = self.board.source_of(index);
        let generation = generation(item, &refs, source);
        let digest =
            item.told.map_or(self.board.group_of(index).digest, |told| &told.digest).clone();
        Hold { digest, refs, source, generation, caches }
    }

    /// The names of an item, and who wants it: the very lists that the node was told, where these are the same.
    fn terms(&mut self, index: usize) -> (Arc<[ImageRef]>, Arc<[CacheId]>) {
        let wanted = self.board.wanted_of(index);
        let known = self.terms[wanted.group].take().filter(|known| known.lines == wanted.lines);
        let mut terms = known.unwrap_or_else(|| Terms::new(self.board, wanted));
        if let Some(told) = self.board.items[index].told {
            share(&mut terms.refs, &told.refs);
            share(&mut terms.caches, &told.caches);
        }
        let both = (terms.refs.clone(), terms.caches.clone());
        self.terms[wanted.group] = Some(terms);
        both
    }
}

// === impl Terms ===

impl Terms {
    fn new(board: &Board<'_>, wanted: &Wanted) -> Self {
        let lines = wanted.lines.clone();
        let mut refs: Vec<ImageRef> = Vec::with_capacity(lines.len());
        lines.iter().for_each(|line| push_new(&mut refs, board.lines[*line].name));
        let caches = wanted.caches.iter().map(|cache| board.caches[*cache].id.clone()).collect();
        Self { lines, refs: refs.into(), caches }
    }
}

/// Has one list in the place of two that are the same: nodes share them, and the next comparison sees it at a glance.
fn share<T: Eq>(list: &mut Arc<[T]>, other: &Arc<[T]>) {
    if !Arc::ptr_eq(list, other) && list == other {
        *list = Arc::clone(other);
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
fn generation(item: &Item<'_>, refs: &Arc<[ImageRef]>, source: Source) -> u64 {
    let seen = || item.report.map_or(0, |report| report.generation);
    let Some(told) = item.told else { return seen() + 1 };
    let same_source = told.source == source || item.is_there();
    let same_names =
        || Arc::ptr_eq(&told.refs, refs) || refs.iter().all(|name| told.refs.contains(name));
    match same_source && same_names() {
        true => told.generation,
        false => told.generation.max(seen()) + 1,
    }
}

/// What becomes of images that nobody wants there any more.
fn part<'a>(
    leaving: &Leaving<'_, 'a>,
    formers: &mut Formers<'a>,
    node: usize,
    plan: &mut NodePlan,
) {
    plan.removals.extend(leaving.pending(node).cloned());
    let mut taken = None;
    for (place, stray) in leaving.strays_of(node).iter().enumerate() {
        let digest = stray.hold.digest.clone();
        let taken = taken.get_or_insert_with(|| leaving.taken(node, None));
        let former = formers.of(place, stray.hold, leaving);
        let refs = former.names_but(taken);
        match leaving.fate(stray, former) {
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
