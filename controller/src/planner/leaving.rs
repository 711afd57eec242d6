//! What becomes of images that are wanted no longer.
//!
//! An image that a cache replaces by another of the same repository (a tag that moved, a new tag in its
//! place) stays on every node until its successor is on all of them: until then a pod may still need it. Whatever
//! else leaves a cache goes at once, as the cache's `onDelete` says.

use std::collections::HashMap;

use super::{
    Board, CacheId, Digest, Hold, ImageRef, OnDelete, Removal, Report, Source, State,
    board::{Placing, Standing, Stray, Want},
};

/// What becomes of an image that nobody wants on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays: these caches are not done with it.
    Stays(Vec<CacheId>),
    /// It is left to the kubelet.
    Forgotten,
    /// It goes.
    Removed,
}

// === impl Stray ===

impl Stray<'_> {
    /// Where a node would get what stays: somebody else may be the seed of an image that is wanted
    /// elsewhere.
    pub(super) fn source(&self) -> Source {
        self.group.map_or(self.hold.source, |_| Source::Peers)
    }
}

/// Looks up who is done with what.
pub(super) struct Leaving<'b, 'a> {
    board: &'b Board<'a>,
    caches: HashMap<&'a CacheId, usize>,
    /// Numbers of repositories, and that of each line's: a moved tag has every node compare each of its images with
    /// each that is wanted there.
    repositories: HashMap<&'a str, usize>,
    repository_of: Vec<usize>,
    /// Numbers of names, and that of each line's, for the same reason.
    names: HashMap<&'a ImageRef, usize>,
    name_of: Vec<usize>,
}

/// Counts for each line the nodes that are waited for and lack it.
pub(super) fn count_lacking(board: &mut Board<'_>) {
    for (node, wants) in board.nodes.iter().zip(&board.wants_of) {
        for want in board.wants[wants.clone()].iter().filter(|_| node.is_available()) {
            let warm = matches!(want.placing, Placing::Item(item)
                if board.items[item].standing == Standing::Warm);
            board.lines[want.line].lacking += usize::from(!warm);
        }
    }
}

// === impl Leaving ===

impl<'b, 'a> Leaving<'b, 'a> {
    pub(super) fn new(board: &'b Board<'a>) -> Self {
        let mut repositories = HashMap::new();
        let mut repository_of = Vec::with_capacity(board.lines.len());
        let (mut names, mut name_of) = (HashMap::new(), Vec::with_capacity(board.lines.len()));
        for line in &board.lines {
            let next = repositories.len();
            repository_of.push(*repositories.entry(line.name.repository()).or_insert(next));
            let next = names.len();
            name_of.push(*names.entry(line.name).or_insert(next));
        }
        let caches = board.caches_by_id();
        Self { board, caches, repositories, repository_of, names, name_of }
    }

    pub(super) fn fate(&self, stray: &Stray<'_>) -> Fate {
        let staying = match stray.report.is_some_and(Report::is_warm) {
            true => self.staying(stray.node, stray.hold, &mut std::iter::empty()),
            // What never came needs not stay, unless it may be what is wanted.
            false => self.ids(&stray.undecided),
        };
        if !staying.is_empty() {
            return Fate::Stays(staying);
        }
        let in_use = stray.report.is_some_and(|report| report.in_use);
        let known = || stray.hold.caches.iter().filter_map(|id| self.caches.get(id));
        let removes = |cache: &usize| self.board.caches[*cache].on_delete == OnDelete::Remove;
        match !in_use && known().next().is_some() && known().all(removes) {
            true => Fate::Removed,
            false => Fate::Forgotten,
        }
    }

    /// The caches that are not done with an image that the node was told to hold, beside those that
    /// want it.
    pub(super) fn staying(
        &self,
        node: usize,
        hold: &Hold,
        wanting: &mut dyn Iterator<Item = usize>,
    ) -> Vec<CacheId> {
        let wanting: Vec<usize> = wanting.collect();
        let stays = |id: &&CacheId| {
            let cache = self.caches.get(*id).filter(|cache| !wanting.contains(cache));
            cache.is_some_and(|cache| self.waits_for_successor(node, hold, *cache))
        };
        hold.caches.iter().filter(stays).cloned().collect()
    }

    fn ids(&self, caches: &[usize]) -> Vec<CacheId> {
        caches.iter().map(|cache| self.board.caches[*cache].id.clone()).collect()
    }

    fn waits_for_successor(&self, node: usize, hold: &Hold, cache: usize) -> bool {
        let number = |name: &ImageRef| self.repositories.get(name.repository()).copied();
        let old: Vec<usize> = hold.refs.iter().filter_map(number).collect();
        let succeeds = |want: &&Want| {
            let same = old.contains(&self.repository_of[want.line]);
            same && self.board.lines[want.line].cache == cache
        };
        let mut successors = self.wants(node).iter().filter(succeeds);
        successors.any(|want| self.board.lines[want.line].lacking > 0 || !self.is_warm(want))
    }

    fn wants(&self, node: usize) -> &[Want] {
        &self.board.wants[self.board.wants_of[node].clone()]
    }

    fn is_warm(&self, want: &Want) -> bool {
        matches!(want.placing, Placing::Item(item)
            if self.board.items[item].standing == Standing::Warm)
    }

    /// The numbers of the names that the node's images have, without those of its item `own`.
    pub(super) fn taken(&self, node: usize, own: Option<usize>) -> Vec<usize> {
        let items = self.board.items_of[node].clone().filter(|item| Some(*item) != own);
        let items = items.filter(|item| self.board.items[*item].is_placed());
        let lines = items.flat_map(|item| self.board.items[item].lines.iter());
        lines.map(|line| self.name_of[line]).collect()
    }

    /// The names that a hold keeps: those that no other image on the node has taken. One that has lost
    /// all is known by its digest.
    pub(super) fn names(&self, hold: &Hold, taken: &[usize]) -> Vec<ImageRef> {
        let is_left =
            |name: &&ImageRef| self.names.get(*name).is_none_or(|number| !taken.contains(number));
        let left: Vec<_> = hold.refs.iter().filter(is_left).cloned().collect();
        match hold.refs.first() {
            Some(first) if left.is_empty() => vec![first.at(&hold.digest)],
            _ => left,
        }
    }

    /// Removals that were asked for before and are neither done, nor refused because a container uses
    /// the image, nor overtaken by somebody who wants it again.
    pub(super) fn pending(&self, node: usize) -> impl Iterator<Item = &'a Removal> + '_ {
        let reports = &self.board.nodes[node].reports;
        let is_over = move |digest: &Digest| {
            reports
                .get(digest)
                .is_some_and(|report| report.state == State::Removed || report.in_use)
        };
        let items = self.board.items_of[node].clone();
        let is_wanted = move |digest: &Digest| {
            items.clone().any(|item| self.board.group_of(item).digest == digest)
        };
        let removals = self.board.nodes[node].removals.iter();
        removals.filter(move |old| !is_over(&old.digest) && !is_wanted(&old.digest))
    }
}
