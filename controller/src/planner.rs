//! The rollout planner: which node holds which image, who pulls it from the registry, when the others
//! follow, and why whoever has to wait does.
//!
//! [`plan`] is a function of its inputs and the time, and of nothing else. What was decided before stands
//! in the nodes' own lists, so a controller that takes over goes on where the last one stopped. Everything that
//! is not done has a [`Reason`].
//!
//! The way of a plan: `board` sets out who wants what where, and what each node was told and reports; `standing`
//! looks at what it answers; `room` refuses what does not fit; `turns` counts who is at work; `seeds` sees that each image
//! and platform has one; `release` tells the others, of several images `together` where that can be; `leaving`
//! decides what becomes of what nobody wants; `write` and `summary` put it down for nodes and caches.

use std::{borrow::Borrow, collections::BTreeMap};

use jiff::Timestamp;

mod alarm;
mod board;
mod cache;
mod conditions;
mod event;
mod finish;
mod history;
mod leaving;
mod limits;
mod names;
mod node;
mod reason;
mod release;
mod render;
mod resolution;
mod rollup;
mod room;
mod seeds;
mod standing;
mod summary;
mod together;
mod trouble;
mod turns;
mod words;
mod write;

use board::Board;
pub use board::Stage;
pub use cache::{Cache, ImageList, OnDelete, Selector, Share, Strategy};
pub use conditions::ConditionReason;
pub use event::{Event, Happening, Parting};
pub use history::History;
pub use limits::{Allowance, Limits};
pub use names::{CacheId, Digest, ImageRef, NodeName, Platform};
pub use node::{Disk, Hold, Node, Removal, Report, Source, State};
pub use reason::{Gravity, Namespace, Reason};
pub use resolution::{Content, Resolution, Resolved};
pub use rollup::{
    Condition, Conditions, ImageRollup, MOST_NAMED, NodeCounts, NodeRollup, NotWarm, Rollup,
};
pub use trouble::{Trouble, TroubleKind};
pub(crate) use words::Bytes;

/// All that a plan depends on, beside the time. Nodes may be anything that lends one, so that who keeps
/// thousands need not copy them for each plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs<N = Node> {
    /// In any order.
    pub caches: Vec<Cache>,
    /// In any order.
    pub nodes: Vec<N>,
    /// What the operator allows.
    pub limits: Limits,
    /// What the plan before this one left; the default for the first.
    pub history: History,
}

/// What is to be done, and what is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The lists of every node.
    pub nodes: BTreeMap<NodeName, NodePlan>,
    /// Who pulls what from the registry, in the order in which images are wanted.
    pub seeds: Vec<SeedPlan>,
    /// How far every cache is.
    pub caches: BTreeMap<CacheId, Rollup>,
    /// What is worth telling.
    pub events: Vec<Event>,
    /// For the next plan.
    pub history: History,
    /// When to plan again although nothing has changed.
    pub again: Option<Timestamp>,
}

/// The lists of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePlan {
    /// What it is to hold, in the order in which it is to bring that in.
    pub holds: Vec<Hold>,
    /// What it is to remove.
    pub removals: Vec<Removal>,
    /// What it does not hold, and why.
    pub lacks: Vec<Lack>,
}

/// An image that a node does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Who wants it.
    pub cache: CacheId,
    /// Its name.
    pub image: ImageRef,
    /// Why the node does not hold it.
    pub reason: Reason,
}

/// The seed of one image and platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedPlan {
    /// The image's first name.
    pub image: ImageRef,
    /// The image.
    pub digest: Digest,
    /// For nodes that run this.
    pub platform: Platform,
    /// The seed. When the image is held, the one that was it, if anybody was.
    pub node: Option<NodeName>,
    /// How far it is.
    pub stage: Stage,
}

/// Plans. The same inputs and the same time give the same plan.
pub fn plan<N: Borrow<Node>>(inputs: &Inputs<N>, now: Timestamp) -> Plan {
    decide(Board::new(inputs, now))
}

fn decide(mut board: Board<'_>) -> Plan {
    for node in 0..board.nodes.len() {
        board::look::at(&mut board, node);
        standing::assess(&mut board, node);
        room::refuse(&mut board, node);
    }
    turns::deal(&mut board);
    let mut events = seeds::choose(&mut board);
    release::release(&mut board);
    summary::count_warm(&mut board);
    let nodes = write::nodes(&board);
    let mut caches = summary::rollups(&board);
    finish::let_go(&board, &nodes, &mut caches);
    events.extend(finish::tell_complete(&mut board, &caches));
    events.extend(finish::tell_refused(&mut board, &caches));
    finish::forget(&mut board);
    let seeds = finish::seeds(&board);
    Plan { nodes, seeds, caches, events, again: board.alarm.earliest(), history: board.history }
}

// === impl Inputs ===

impl<N> Default for Inputs<N> {
    fn default() -> Self {
        let (caches, nodes) = (Vec::new(), Vec::new());
        Self { caches, nodes, limits: Limits::default(), history: History::default() }
    }
}

// === impl NodePlan ===

impl NodePlan {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.removals.is_empty() && self.lacks.is_empty()
    }
}
