//! Claims: who pulls a blob from upstream when many nodes want it at once, and who streams from
//! whom while it is still arriving.
//!
//! A node that misses sends a [`Claim`] to the digest's coordinator, the live peer closest to the
//! digest. The answer is a [`Verdict`]: lead, follow these, or ask again. Participants send their
//! [`Progress`] about once a second to the two closest coordinators. All a coordinator knows comes
//! from these two messages, so one that restarted, or that became the closest a moment ago, learns
//! within a heartbeat what is under way.
//!
//! Everything here is pure: [`Coordinator`] is a state machine with the time as an argument, and
//! [`wire`] is bytes to values and back. Sockets, tasks and retries are the caller's.

use std::net::SocketAddr;

use crate::{Digest, router::Peer};

mod coordinator;
mod forest;
mod member;
mod pace;
mod room;
mod roster;
mod shelf;
pub mod timing;
pub mod wire;

pub use coordinator::{Coordinator, Counters, SLOTS};

/// Most parents that one verdict names: the one to stream from and three to turn to when it
/// breaks. More would be stale before they are tried.
pub const MOST_PARENTS: usize = 4;

/// Most failed parents that a claim may name. A node that lost eight in a row has a problem that a
/// ninth parent does not solve.
pub const MOST_LOST: usize = 8;

/// What a node asks: where does this blob come from, for me?
///
/// Idempotent per node and digest: asking again tells the coordinator the byte reached and the
/// parents lost, and repeats the standing answer unless that became impossible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The blob.
    pub digest: Digest,
    /// Who asks.
    pub node: Peer,
    /// The next byte it needs.
    pub have: u64,
    /// Whether it may pull from upstream; a node without a credential for the image may not.
    pub may_lead: bool,
    /// Whether it can come back later: its request can give its slot back and ask again.
    pub patient: bool,
    /// What the answer is for.
    pub intent: Intent,
    /// Parents that failed it since it last had one that worked; at most [`MOST_LOST`] count.
    pub lost: Vec<SocketAddr>,
    /// The size of the blob, when a manifest told it.
    pub total: Option<u64>,
}

/// What the answer to a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Somebody waits for the bytes.
    Get,
    /// A look ahead of the real GET, after a manifest passed. It never makes a lead, takes no
    /// upload slot, and does not make the node one that others follow.
    Look,
}

/// Where the blob comes from for the node that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From upstream, from the byte it has.
    Lead,
    /// From these peers, best first: one to [`MOST_PARENTS`].
    Follow(Vec<Parent>),
    /// Nobody can tell yet: ask again after [`timing::ASK_AGAIN`].
    NotYet,
}

/// A peer to stream from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Where it is.
    pub peer: Peer,
    /// What it had when it was last heard; it has more by now.
    pub have: u64,
    /// Whether that is all of it.
    pub complete: bool,
}

/// What a participant tells the two closest coordinators about once a second, and at once when it
/// starts and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The blob.
    pub digest: Digest,
    /// Who speaks.
    pub node: Peer,
    /// The next byte it needs: it has all before it.
    pub have: u64,
    /// The size of the blob, once known.
    pub total: Option<u64>,
    /// What it is doing.
    pub state: Stage,
    /// Whether it may pull from upstream.
    pub may_lead: bool,
    /// Whether it can come back later, as in a [`Claim`].
    pub patient: bool,
    /// How many more children it would serve, beside those it serves now.
    pub free_slots: u32,
}

/// What a participant is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It pulls from upstream.
    Leading,
    /// It will, or will go on: its other downloads have its runtime's slots, or its link.
    Queued,
    /// It streams from a peer.
    Following {
        /// That peer's endpoint.
        parent: SocketAddr,
    },
    /// It has all bytes and serves them.
    Complete,
    /// It left: the pull failed or was cancelled, or the blob was deleted.
    Gone,
}

/// What a coordinator answers to progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing changes.
    CarryOn,
    /// The node is promoted: it goes on from upstream, from its byte.
    Lead,
    /// Its parent is slow and there is a better one: it claims again from its byte and names the
    /// slow one as lost.
    Move,
}
