//! What becomes of images that are wanted no longer.
//!
//! An image that a cache replaces by another of the same repository (a tag that moved, a new tag in its
//! place) stays on every node until its successor is on all of them: until then a pod may still need it. Whatever
//! else leaves a cache goes at once, as the cache's `onDelete` says.

use std::{collections::HashMap, sync::Arc};

use super::{
    Board, CacheId, Digest, Hold, ImageRef, OnDelete, Removal, Report, Source, State,
    board::{Item, Stray, Want},
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

/// An image that a node was told to hold, with the numbers of its repositories and names.
pub(super) struct Former<'a> {
    hold: &'a Hold,
    repositories: Vec<usize>,
    names: Vec<Option<usize>>,
}

/// By place in a node's list of strays: what was looked up last. Nodes lose the same images in the same order mostly.
#[derive(Default)]
pub(super) struct Formers<'a>(Vec<Former<'a>>);

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

    /// A node's strays.
    pub(super) fn strays_of(&self, node: usize) -> &'b [Stray<'a>] {
        self.board.strays_of(node)
    }

    /// What a node was told to hold, with the numbers of its names.
    pub(super) fn former(&self, hold: &'a Hold) -> Former<'a> {
        let number = |name: &ImageRef| self.repositories.get(name.repository()).copied();
        let repositories = hold.refs.iter().filter_map(number).collect();
        let names = hold.refs.iter().map(|name| self.names.get(name).copied()).collect();
        Former { hold, repositories, names }
    }

    pub(super) fn fate(&self, stray: &Stray<'_>, former: &Former<'_>) -> Fate {
        let staying = match stray.report.is_some_and(Report::is_warm) {
            true => self.staying(stray.node, former, &mut std::iter::empty()),
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
        former: &Former<'_>,
        wanting: &mut dyn Iterator<Item = usize>,
    ) -> Vec<CacheId> {
        let wanting: Vec<usize> = wanting.collect();
        let stays = |id: &&CacheId| {
            let cache = self.caches.get(*id).filter(|cache| !wanting.contains(cache));
            cache.is_some_and(|cache| self.waits_for_successor(node, former, *cache))
        };
        former.hold.caches.iter().filter(stays).cloned().collect()
    }

    /// The caches that are not done with what an item's node was told, beside those that want it. What has not come
    /// needs not stay, unless it may turn out to be what they want.
    pub(super) fn staying_with(
        &self,
        item: &Item<'_>,
        former: &Former<'_>,
        wanting: &mut dyn Iterator<Item = usize>,
    ) -> Vec<CacheId> {
        if item.is_there() {
            return self.staying(item.node, former, wanting);
        }
        let wanting: Vec<usize> = wanting.collect();
        let mut asking = self.board.asking(item.node, former.hold);
        asking.retain(|cache| !wanting.contains(cache));
        self.ids(&asking)
    }

    fn ids(&self, caches: &[usize]) -> Vec<CacheId> {
        caches.iter().map(|cache| self.board.caches[*cache].id.clone()).collect()
    }

    fn waits_for_successor(&self, node: usize, former: &Former<'_>, cache: usize) -> bool {
        let succeeds = |want: &&Want| {
            let same = former.repositories.contains(&self.repository_of[want.line]);
            same && self.board.lines[want.line].cache == cache
        };
        let mut successors = self.board.wants_of(node).iter().filter(succeeds);
        successors
            .any(|want| self.board.lines[want.line].is_lacking() || !self.board.is_warm(node, want))
    }

    /// The numbers of the names that the node's images have, without those of its item `own`.
    pub(super) fn taken(&self, node: usize, own: Option<usize>) -> Vec<usize> {
        let items = self.board.items_of(node).filter(|item| Some(*item) != own);
        let items = items.filter(|item| self.board.items[*item].is_placed());
        let lines = items.flat_map(|item| &self.board.wanted_of(item).lines);
        lines.map(|line| self.name_of[*line]).collect()
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
        let items = self.board.items_of(node);
        let is_wanted = move |digest: &Digest| {
            items.clone().any(|item| self.board.group_of(item).digest == digest)
        };
        let removals = self.board.nodes[node].removals.iter();
        removals.filter(move |old| !is_over(&old.digest) && !is_wanted(&old.digest))
    }
}

// === impl Former ===

impl Former<'_> {
    /// The names that it keeps: those that no other image on the node has taken. One that has lost all is known by
    /// its digest.
    pub(super) fn names_but(&self, taken: &[usize]) -> Vec<ImageRef> {
        let is_left = |number: &Option<usize>| number.is_none_or(|number| !taken.contains(&number));
        let names = self.hold.refs.iter().zip(&self.names);
        let left: Vec<_> =
            names.filter(|(_, number)| is_left(number)).map(|(name, _)| name.clone()).collect();
        match self.hold.refs.first() {
            Some(first) if left.is_empty() => vec![first.at(&self.hold.digest)],
            _ => left,
        }
    }
}

// === impl Formers ===

impl<'a> Formers<'a> {
    /// What the stray at that place of a node's was.
    pub(super) fn of(
        &mut self,
        place: usize,
        hold: &'a Hold,
        leaving: &Leaving<'_, 'a>,
    ) -> &Former<'a> {
        let is_same = |known: &Former<'_>| {
            let Hold { digest, refs, caches, .. } = known.hold;
            Arc::ptr_eq(refs, &hold.refs)
                && Arc::ptr_eq(caches, &hold.caches)
                && *digest == hold.digest
        };
        if place >= self.0.len() {
            self.0.push(leaving.former(hold));
        } else if !is_same(&self.0[place]) {
            self.0[place] = leaving.former(hold);
        }
        &self.0[place]
    }
}
