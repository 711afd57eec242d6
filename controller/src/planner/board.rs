//! All that a plan is made from, indexed once, and what has been decided so far.
//!
//! Everything is an index into a table, in an order that only depends on the inputs: caches by age, then
//! name; nodes by name; images in the order in which caches name them.

use std::{borrow::Borrow, collections::HashMap, ops::Range};

use jiff::Timestamp;

use super::{
    Cache, CacheId, Content, Digest, History, Hold, ImageRef, Inputs, Limits, Node, Platform,
    Reason, Report, Resolution, Source, alarm::Alarm, turns::Turns,
};

mod catalogue;
mod item_lines;
mod lines;
mod selectors;
mod wants;

pub(super) use catalogue::MOST_NAMES;
pub(super) use item_lines::ItemLines;

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
    /// Node after node, each in the order of lines.
    pub(super) wants: Vec<Want>,
    pub(super) wants_of: Vec<Range<usize>>,
    /// Node after node, each in the order in which the node is to bring them in.
    pub(super) items: Vec<Item<'a>>,
    pub(super) items_of: Vec<Range<usize>>,
    /// Node after node.
    pub(super) strays: Vec<Stray<'a>>,
    pub(super) groups: Vec<Group<'a>>,
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
    /// Nodes that are waited for, and lack it.
    pub(super) lacking: usize,
}

/// That a line selects a node.
pub(super) struct Want {
    pub(super) line: usize,
    pub(super) placing: Placing,
}

/// What becomes of a want.
pub(super) enum Placing {
    /// It is part of this item.
    Item(usize),
    /// It cannot be, for this reason.
    Not(Reason),
}

/// One image on one node that somebody wants there.
pub(super) struct Item<'a> {
    pub(super) node: usize,
    pub(super) group: usize,
    /// Who wants it, and under which names.
    pub(super) lines: ItemLines,
    pub(super) told: Option<&'a Hold>,
    pub(super) report: Option<&'a Report>,
    pub(super) standing: Standing,
    pub(super) source: Source,
}

/// How an item stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The node was told, and holds it.
    Warm,
    /// The node was told, and gets on with it.
    UnderWay,
    /// The node was told, and does not get on with it.
    Failing(Reason),
    /// The node has not been told, and nothing of its own speaks against it. Next: `Told` or `Waits`.
    Free,
    /// The node is told by this plan.
    Told,
    /// The node is not told, for this reason.
    Waits(Reason),
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
}

/// One image for one platform: what has one seed.
pub(super) struct Group<'a> {
    pub(super) digest: &'a Digest,
    pub(super) platform: &'a Platform,
    /// The first line that names it.
    pub(super) name: &'a ImageRef,
    pub(super) content: &'a Content,
    pub(super) items: Vec<usize>,
    /// An available node has all of it.
    pub(super) held: bool,
    /// The item that pulls from the registry.
    pub(super) seed: Option<usize>,
    pub(super) stage: Stage,
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
    /// Sets out what is wanted where. Nothing is decided yet.
    pub(super) fn new<N: Borrow<Node>>(inputs: &'a Inputs<N>, now: Timestamp) -> Self {
        let mut caches: Vec<&Cache> = inputs.caches.iter().collect();
        caches.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        let mut nodes: Vec<&Node> = inputs.nodes.iter().map(Borrow::borrow).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let mut board = Self {
            limits: inputs.limits,
            now,
            lines: Vec::new(),
            wants: Vec::new(),
            wants_of: Vec::with_capacity(nodes.len()),
            items: Vec::new(),
            items_of: Vec::with_capacity(nodes.len()),
            strays: Vec::new(),
            groups: Vec::new(),
            turns: Turns::default(),
            history: inputs.history.clone(),
            alarm: Alarm::default(),
            caches,
            nodes,
        };
        let lines_of = lines::draw(&mut board);
        wants::place(&mut board, &lines_of);
        board
    }

    /// The caches that want an item, each once, oldest first.
    pub(super) fn caches_of(&self, item: usize) -> impl Iterator<Item = usize> + '_ {
        let mut last = None;
        self.items[item].lines.iter().filter_map(move |line| {
            let cache = self.lines[line].cache;
            (last.replace(cache) != Some(cache)).then_some(cache)
        })
    }

    pub(super) fn node_of(&self, item: usize) -> &'a Node {
        self.nodes[self.items[item].node]
    }

    pub(super) fn group_of(&self, item: usize) -> &Group<'a> {
        &self.groups[self.items[item].group]
    }

    /// Caches by their name.
    pub(super) fn caches_by_id(&self) -> HashMap<&'a CacheId, usize> {
        self.caches.iter().enumerate().map(|(index, cache)| (&cache.id, index)).collect()
    }
}

// === impl Item ===

impl Item<'_> {
    /// The report, if it speaks of what the node was told last.
    pub(super) fn answer(&self) -> Option<&Report> {
        let (told, report) = (self.told?, self.report?);
        (report.generation >= told.generation).then_some(report)
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
