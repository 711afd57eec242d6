//! From decisions to the lists that each node is to be given.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Board, CacheId, Digest, Hold, ImageRef, Lack, Node, NodeName, NodePlan, Removal, Report,
    Source,
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
            keep_order(board, node, &mut plan.holds);
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
        if let Some(told) = item.told.filter(|told| !all_want_it(told)) {
            let former = leaving.former(told);
            let staying = leaving.staying_with(item, &former, &mut self.board.caches_of(index));
            if !staying.is_empty() {
                let taken = leaving.taken(item.node, Some(index));
                refs = in_order_of(with(&refs, former.names_but(&taken)), &told.refs);
                caches = in_order_of(with(&caches, staying), &told.caches);
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

/// The list that was told, where the new one says the same in another order.
fn in_order_of<T: PartialEq>(list: Arc<[T]>, told: &Arc<[T]>) -> Arc<[T]> {
    match list.len() == told.len() && list.iter().all(|one| told.contains(one)) {
        true => Arc::clone(told),
        false => list,
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

/// Keeps a node's list in the order in which it was told as long as it is not known where some of it belongs:
/// registries answer one after the other, and each answer would have all nodes told again. So too where another
/// order would say nothing new.
fn keep_order(board: &Board<'_>, node: usize, holds: &mut [Hold]) {
    let told = &board.nodes[node].holds;
    let is_told = |(hold, told): (&Hold, &Hold)| hold.digest == told.digest;
    if holds.len() >= told.len() && holds.iter().zip(told).all(is_told) {
        return;
    }
    let is_undecided = |stray: &Stray<'_>| !stray.undecided.is_empty();
    if board.strays_of(node).iter().any(is_undecided) || says_the_same(board.nodes[node], holds) {
        let places: HashMap<&Digest, usize> =
            told.iter().enumerate().map(|(place, hold)| (&hold.digest, place)).collect();
        holds.sort_by_key(|hold| places.get(&hold.digest).copied().unwrap_or(usize::MAX));
    }
}

/// Whether the node was told of just these, and what it lacks of them is in the order of before.
fn says_the_same(node: &Node, holds: &[Hold]) -> bool {
    fn digests(holds: &[Hold]) -> impl Iterator<Item = &Digest> {
        holds.iter().map(|hold| &hold.digest)
    }
    let lacks = |digest: &&Digest| !node.reports.get(*digest).is_some_and(Report::is_warm);
    let are_told = || {
        let told: HashSet<&Digest> = digests(&node.holds).collect();
        digests(holds).all(|digest| told.contains(digest))
    };
    holds.len() == node.holds.len()
        && are_told()
        && digests(holds).filter(lacks).eq(digests(&node.holds).filter(lacks))
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
