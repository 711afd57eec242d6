//! All that a plan is made from, indexed once, and what has been decided so far.
//!
//! Everything is an index into a table, in an order that only depends on the inputs: caches by age, then
//! name; nodes by name; images in the order in which caches name them. What is the same for thousands of nodes is
//! found out once for all of them, as a [`Pool`].

use std::{borrow::Borrow, collections::HashMap, ops::Range};

use jiff::Timestamp;

use super::{
    Cache, CacheId, Content, Digest, History, Hold, ImageRef, Inputs, Limits, Node, Platform,
    Reason, Report, Resolution, Source, State, alarm::Alarm, turns::Turns,
};

mod catalogue;
mod lines;
pub(super) mod look;
mod pools;
mod reasons;
mod selectors;
mod sizes;

use catalogue::Catalogue;
pub(super) use pools::MOST_NAMES;
pub(super) use reasons::{Reasons, Why};
use sizes::Sizes;

/// The tables.
pub(super) struct Board<'a> {
    pub(super) limits: Limits,
    pub(super) now: Timestamp,
    /// Oldest first.
    pub(super) caches: Vec<&'a Cache>,
    /// By name.
    pub(super) nodes: Vec<&'a Node>,
    /// Cache after cache.
    pub(super) lines: Vec<Line<'a>>,
    /// In the order of their first nodes.
    pub(super) pools: Vec<Pool>,
    /// By node.
    pub(super) pool_of: Vec<usize>,
    /// Pool after pool, each in the order in which its nodes are to bring them in.
    pub(super) wanted: Vec<Wanted>,
    /// Node after node, each as its pool has them.
    pub(super) items: Vec<Item<'a>>,
    items_of: Vec<Range<usize>>,
    /// Node after node.
    pub(super) strays: Vec<Stray<'a>>,
    strays_of: Vec<Range<usize>>,
    /// Node after node: lines that are not resolved, and for which the node holds what it was told.
    kept: Vec<usize>,
    kept_of: Vec<Range<usize>>,
    pub(super) groups: Vec<Group<'a>>,
    catalogue: Catalogue<'a>,
    pub(super) sizes: Sizes<'a>,
    pub(super) reasons: Reasons,
    pub(super) turns: Turns,
    pub(super) history: History,
    pub(super) alarm: Alarm,
}

/// One image of one cache.
pub(super) struct Line<'a> {
    pub(super) cache: usize,
    pub(super) name: &'a ImageRef,
    pub(super) resolution: Option<&'a Resolution>,
    /// Another cache means another digest by this name.
    pub(super) contested: bool,
    /// What it stands for on the platforms in use.
    pub(super) groups: Vec<usize>,
    /// Nodes that are waited for.
    pub(super) desired: usize,
    /// Of these, those that hold it.
    pub(super) warm: usize,
}

/// Nodes that the same lists select and that run the same: they are to hold the same.
pub(super) struct Pool {
    /// In the order of lines.
    pub(super) wants: Vec<Want>,
    /// What its nodes are to hold.
    pub(super) wanted: Range<usize>,
    /// The same in the order of their digests, as nodes report them.
    by_digest: Vec<usize>,
    /// Lines of which it is not known what they stand for.
    undecided: Vec<usize>,
    /// The strays of that of its nodes that was looked at last.
    strays: Range<usize>,
    /// Its nodes that are waited for.
    pub(super) available: usize,
}

/// That a line selects the nodes of a pool.
pub(super) struct Want {
    pub(super) line: usize,
    pub(super) placing: Placing,
}

/// What becomes of a want.
pub(super) enum Placing {
    /// It is part of this.
    Wanted(usize),
    /// It cannot be had, for this reason.
    Not(Reason),
}

/// One image that all nodes of a pool are to hold.
pub(super) struct Wanted {
    pub(super) group: usize,
    /// Who wants it, and under which names.
    pub(super) lines: Vec<usize>,
    /// The caches of these lines, each once, oldest first.
    pub(super) caches: Vec<usize>,
    /// Nodes that are waited for and hold it.
    pub(super) warm: usize,
    /// Bytes of it that came from the registry, to all nodes together.
    pub(super) upstream: u64,
}

/// One image on one node that somebody wants there.
pub(super) struct Item<'a> {
    pub(super) node: usize,
    pub(super) wanted: usize,
    pub(super) told: Option<&'a Hold>,
    pub(super) report: Option<&'a Report>,
    /// What the image is doing there, as reported. Reports are far apart in memory, and this is asked often.
    pub(super) state: Option<State>,
    /// The report speaks of what the node was told last.
    pub(super) answers: bool,
    pub(super) standing: Standing,
}

/// How an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The node was told, and holds it.
    Warm,
    /// The node was told, and gets on with it.
    UnderWay,
    /// The node was told, and does not get on with it.
    Failing(Why),
    /// The node has not been told, and nothing of its own speaks against it. Next: `Told` or `Waits`.
    Free,
    /// The node is told by this plan.
    Told,
    /// The node is not told, for this reason.
    Waits(Why),
}

/// An image that a node was told to hold, and that nobody wants there any more.
pub(super) struct Stray<'a> {
    pub(super) node: usize,
    pub(super) hold: &'a Hold,
    pub(super) report: Option<&'a Report>,
    /// What somebody wants elsewhere.
    pub(super) group: Option<usize>,
    /// Caches that want something by its name there, and it is not known yet whether this is it. A
    /// controller that has just taken over asks registries again, and nodes are at work meanwhile.
    pub(super) undecided: Vec<usize>,
    /// One of them has asked, and there is no answer yet.
    pub(super) is_asked_for: bool,
}

/// One image for one platform: what has one seed.
pub(super) struct Group<'a> {
    pub(super) digest: &'a Digest,
    pub(super) platform: &'a Platform,
    /// The first line that names it.
    pub(super) name: &'a ImageRef,
    pub(super) content: &'a Content,
    /// What the pool that was made last is to hold of it, if it is.
    wanted: Option<usize>,
    pub(super) items: Vec<usize>,
    /// How many of the items nothing of their own speaks against.
    pub(super) free: usize,
    /// An available node has all of it.
    pub(super) held: bool,
    /// How many of the items are warm.
    pub(super) warm: usize,
    /// When the last node that was told of it, and has all of it, became warm.
    pub(super) served: Option<Timestamp>,
    /// Items that wait for other nodes to have it, in vain so far, and since when.
    pub(super) hungry: Vec<(usize, Timestamp)>,
    /// Items that were told to pull from the registry: one, but for accidents.
    pub(super) upstream: Vec<usize>,
    /// The item that pulls from the registry.
    pub(super) seed: Option<usize>,
    pub(super) stage: Stage,
    /// Since when others can get it, where they can.
    pub(super) reachable: Option<Timestamp>,
    /// Until when the next seed has to wait.
    pub(super) next_seed: Option<Timestamp>,
}

/// How far the seed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none, and none can be chosen now.
    Missing,
    /// It has been chosen, and has not begun.
    Chosen,
    /// Its download is announced: others can follow.
    Announced,
    /// It does not get on.
    Failing,
    /// A node has all of it: no seed is needed.
    Held,
}

// === impl Board ===

impl<'a> Board<'a> {
    /// Sets out what is wanted where. Nothing is decided yet, and no node looked at.
    pub(super) fn new<N: Borrow<Node>>(inputs: &'a Inputs<N>, now: Timestamp) -> Self {
        let mut caches: Vec<&Cache> = inputs.caches.iter().collect();
        caches.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        let mut nodes: Vec<&Node> = inputs.nodes.iter().map(Borrow::borrow).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let mut board = Self {
            limits: inputs.limits,
            now,
            lines: Vec::new(),
            pools: Vec::new(),
            pool_of: Vec::with_capacity(nodes.len()),
            wanted: Vec::new(),
            items: Vec::new(),
            items_of: Vec::with_capacity(nodes.len()),
            strays: Vec::new(),
            strays_of: Vec::with_capacity(nodes.len()),
            kept: Vec::new(),
            kept_of: Vec::with_capacity(nodes.len()),
            groups: Vec::new(),
            catalogue: Catalogue::default(),
            sizes: Sizes::default(),
            reasons: Reasons::default(),
            turns: Turns::default(),
            history: inputs.history.clone(),
            alarm: Alarm::default(),
            caches,
            nodes,
        };
        let lists = lines::draw(&mut board);
        pools::fill(&mut board, &lists);
        board.sizes = Sizes::reported(&board.lines, &board.nodes);
        board.turns = Turns::new(board.most_at_work(), board.nodes.len());
        let items = board.pool_of.iter().map(|pool| board.pools[*pool].wanted.len()).sum();
        board.items.reserve_exact(items);
        board
    }

    /// How many nodes each cache may have at work.
    fn most_at_work(&self) -> Vec<usize> {
        let mut available = vec![0; self.caches.len()];
        for pool in &self.pools {
            for run in pool.by_cache(&self.lines) {
                available[self.lines[run[0].line].cache] += pool.available;
            }
        }
        let caches = self.caches.iter().zip(available);
        caches.map(|(cache, total)| cache.max_parallel.of(total)).collect()
    }

    /// A node's items.
    pub(super) fn items_of(&self, node: usize) -> Range<usize> {
        self.items_of[node].clone()
    }

    /// A node's strays.
    pub(super) fn strays_of(&self, node: usize) -> &[Stray<'a>] {
        &self.strays[self.strays_of[node].clone()]
    }

    /// The lines that select a node.
    pub(super) fn wants_of(&self, node: usize) -> &[Want] {
        &self.pools[self.pool_of[node]].wants
    }

    /// The item that a want is part of on a node.
    pub(super) fn item_of<'b>(
        &'b self,
        node: usize,
        want: &'b Want,
    ) -> Result<&'b Item<'a>, &'b Reason> {
        match &want.placing {
            Placing::Wanted(wanted) => {
                let place = wanted - self.pools[self.pool_of[node]].wanted.start;
                Ok(&self.items[self.items_of[node].start + place])
            }
            Placing::Not(reason) => Err(reason),
        }
    }

    /// Whether a node holds what a line wants there.
    pub(super) fn is_warm(&self, node: usize, want: &Want) -> bool {
        self.item_of(node, want).is_ok_and(|item| item.standing == Standing::Warm)
    }

    /// Whether a node holds what it was told for a line that is not resolved.
    pub(super) fn is_kept(&self, node: usize, want: &Want) -> bool {
        self.kept[self.kept_of[node].clone()].contains(&want.line)
    }

    /// The digest of what is wanted.
    pub(super) fn digest_of(&self, wanted: usize) -> &'a Digest {
        self.groups[self.wanted[wanted].group].digest
    }

    pub(super) fn wanted_of(&self, item: usize) -> &Wanted {
        &self.wanted[self.items[item].wanted]
    }

    /// The caches that want an item, each once, oldest first.
    pub(super) fn caches_of(&self, item: usize) -> impl Iterator<Item = usize> + '_ {
        self.wanted_of(item).caches.iter().copied()
    }

    pub(super) fn node_of(&self, item: usize) -> &'a Node {
        self.nodes[self.items[item].node]
    }

    pub(super) fn group_of(&self, item: usize) -> &Group<'a> {
        &self.groups[self.wanted_of(item).group]
    }

    /// Where the node gets it: nobody but the seed is told to ask the registry.
    pub(super) fn source_of(&self, item: usize) -> Source {
        match self.group_of(item).seed == Some(item) {
            true => Source::Upstream,
            false => Source::Peers,
        }
    }

    /// Caches by their name.
    pub(super) fn caches_by_id(&self) -> HashMap<&'a CacheId, usize> {
        self.caches.iter().enumerate().map(|(index, cache)| (&cache.id, index)).collect()
    }
}

// === impl Pool ===

impl Pool {
    /// What each cache wants of its nodes, oldest cache first.
    pub(super) fn by_cache<'b>(
        &'b self,
        lines: &'b [Line<'_>],
    ) -> impl Iterator<Item = &'b [Want]> + 'b {
        self.wants.chunk_by(|a, b| lines[a.line].cache == lines[b.line].cache)
    }
}

// === impl Item ===

impl<'a> Item<'a> {
    /// The report, if it speaks of what the node was told last.
    pub(super) fn answer(&self) -> Option<&'a Report> {
        let (told, report) = (self.told?, self.report?);
        (report.generation >= told.generation).then_some(report)
    }

    /// The node has it already, whatever it was told.
    pub(super) fn is_there(&self) -> bool {
        self.state == Some(State::Warm)
    }

    /// Whether the image stands in the node's list of images to hold.
    pub(super) fn is_placed(&self) -> bool {
        !matches!(self.standing, Standing::Free | Standing::Waits(_))
    }
}

// === impl Stray ===

impl Stray<'_> {
    /// Whether it may be what somebody wants there, and has not come yet.
    pub(super) fn is_at_work(&self) -> bool {
        !self.undecided.is_empty() && !self.report.is_some_and(Report::is_warm)
    }
}

// === impl Group ===

impl Group<'_> {
    pub(super) fn key(&self) -> (Digest, Platform) {
        (self.digest.clone(), self.platform.clone())
    }
}
