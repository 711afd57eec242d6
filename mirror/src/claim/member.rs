//! One node in one room, as the coordinator knows it.

use std::{collections::BTreeSet, net::SocketAddr};

use tokio::time::Instant;

use super::{
    pace::Pace,
    shelf::Place,
    timing::{DOUBT, HEARTBEAT, SILENCE},
};
use crate::router::Peer;

/// A member's number in its room. Numbers are used again.
pub(super) type Seat = usize;

/// A node that wants the blob, or has it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) peer: Peer,
    /// The next byte it needs.
    pub(super) have: u64,
    pub(super) total: Option<u64>,
    pub(super) may_lead: bool,
    /// It can come back later.
    pub(super) patient: bool,
    pub(super) role: Role,
    /// Its parent died, and it got no other.
    pub(super) orphan: bool,
    /// When it joined, or got a parent before its first byte, counted in such events.
    pub(super) order: u64,
    /// How many parents were above it when it got its own; not kept up to date.
    pub(super) depth: u64,
    pub(super) parent: Option<Seat>,
    /// Whether it said itself that it follows `parent`.
    pub(super) confirmed: bool,
    /// Whether it took one of its parent's slots, to be given back.
    pub(super) took_slot: bool,
    pub(super) children: BTreeSet<Seat>,
    /// How many more children it gets.
    pub(super) free: u32,
    /// When it came.
    pub(super) joined: Instant,
    pub(super) heard: Instant,
    /// When a child lost it, if it has not been heard since.
    pub(super) doubted: Option<Instant>,
    /// Since when it has been told "not yet".
    pub(super) waiting: Option<Instant>,
    /// The parent that it lost last. While it waits it still says that it follows that one.
    pub(super) gave_up: Option<SocketAddr>,
    /// It was sent once more to parents that it had lost, and no byte has come since.
    pub(super) tried_again: bool,
    /// It had the lead and made nothing of it; others come first.
    pub(super) passed_over: bool,
    /// This coordinator told it to lead at some time.
    pub(super) granted: bool,
    /// How fast it grows under its present parent.
    pub(super) pace: Pace,
    /// Until when it counts as slow: others come first as parents, and slow children leave it.
    pub(super) slow: Option<Instant>,
    /// It was told to leave its parent, and has not claimed since.
    pub(super) leaving: bool,
    /// The parent that it was told to leave last, and when.
    pub(super) sent_from: Option<(SocketAddr, Instant)>,
    /// The parent that it was told to leave although that one had more for it. Until it is faster
    /// elsewhere, which of the two is slow is open.
    pub(super) left: Option<SocketAddr>,
    pub(super) filed: Filed,
}

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It was told "not yet". Nobody follows it.
    Waiting,
    /// It streams from a parent, or looks for the next one.
    Following,
    /// It pulls from upstream.
    Leading(Lead),
    /// It has all bytes.
    Complete,
}

/// How a lead is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) phase: Phase,
    /// The most it has had. Only more than this is growth.
    pub(super) peak: u64,
    pub(super) since: Instant,
}

/// Where a lead is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing arrived yet. Next: growing, or company by the slow-start rule.
    Starting,
    /// Bytes arrived, at last at this instant. Next: complete, or lapsed.
    Growing(Instant),
    /// Bytes stopped arriving. It goes on as it can; somebody else is promoted.
    Lapsed,
}

/// The keys under which a member stands in the indexes of its room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filed {
    /// Whether it stands apart as an open member that is slow.
    pub(super) apart: bool,
    /// Its place on the shelves, if it is open.
    pub(super) place: Option<Place>,
    /// What it has, if it can be promoted.
    pub(super) heir: Option<u64>,
    /// When its silence is death.
    pub(super) dies: Option<Instant>,
    /// Whether it waits for its first parent.
    pub(super) queues: bool,
}

// === impl Member ===

impl Member {
    /// A member that was just heard of and got no answer yet.
    pub(super) fn new(peer: Peer, order: u64, slots: u32, now: Instant) -> Self {
        Self {
            peer,
            have: 0,
            total: None,
            may_lead: false,
            patient: false,
            role: Role::Waiting,
            orphan: false,
            order,
            depth: 0,
            parent: None,
            confirmed: false,
            took_slot: false,
            children: BTreeSet::new(),
            free: slots,
            joined: now,
            heard: now,
            doubted: None,
            waiting: None,
            gave_up: None,
            tried_again: false,
            passed_over: false,
            granted: false,
            pace: Pace::default(),
            slow: None,
            leaving: false,
            sent_from: None,
            left: None,
            filed: Filed::default(),
        }
    }

    /// It spoke.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.doubted = None;
    }

    /// Whether it waits, because it has lost `parent`.
    pub(super) fn waits_without(&self, parent: SocketAddr) -> bool {
        self.waiting.is_some() && self.gave_up == Some(parent)
    }

    /// The byte where it should be by now.
    pub(super) fn reaches(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.heard).min(HEARTBEAT);
        let all = self.total.unwrap_or(u64::MAX);
        self.have.saturating_add(self.pace.grown_in(since)).min(all.max(self.have))
    }

    /// Whether a child can be sent to it: bytes are on their way, and a slot is free. One that is
    /// slow can, if nobody else is there.
    pub(super) fn is_open(&self) -> bool {
        let fed = match self.role {
            Role::Waiting => false,
            Role::Leading(lead) => lead.phase != Phase::Lapsed,
            Role::Following | Role::Complete => true,
        };
        fed && self.free > 0 && self.doubted.is_none()
    }

    /// Whether it can be promoted to lead.
    pub(super) fn is_heir(&self) -> bool {
        let idle = matches!(self.role, Role::Waiting | Role::Following);
        idle && self.may_lead && !self.passed_over
    }

    /// The lead it has, if any.
    pub(super) fn lead(&self) -> Option<&Lead> {
        match &self.role {
            Role::Leading(lead) => Some(lead),
            _ => None,
        }
    }

    /// The keys that its present state asks for.
    pub(super) fn keys(&self, seat: Seat) -> Filed {
        let complete = self.role == Role::Complete;
        let place = Place {
            seat,
            order: self.order,
            have: self.have,
            children: self.children.len(),
            complete,
        };
        let silent = self.heard + SILENCE;
        let dies = self.doubted.map_or(silent, |doubted| silent.min(doubted + DOUBT));
        Filed {
            apart: self.is_open() && self.slow.is_some(),
            place: (self.is_open() && self.slow.is_none()).then_some(place),
            heir: self.is_heir().then_some(self.have),
            dies: Some(dies),
            queues: self.role == Role::Waiting && self.waiting.is_some() && self.have == 0,
        }
    }
}
