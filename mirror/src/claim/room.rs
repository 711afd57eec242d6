//! One digest at its coordinator: who wants it, who has it, who streams from whom.

use std::net::SocketAddr;

use tokio::time::Instant;

use self::{
    leads::{Candidate, Leads},
    parents::Seeker,
};
use super::{
    coordinator::Counters,
    member::{Member, Phase, Role, Seat},
    pace::Best,
    roster::Roster,
    timing::FORGET,
};
use crate::router::Peer;

mod answer;
mod follow;
mod leads;
mod parents;
mod progress;
mod sharing;
mod slow;

/// The state of one digest.
#[derive(Debug)]
pub(super) struct Room {
    roster: Roster,
    leads: Leads,
    best: Best,
    /// How many children a member gets that has not said how many it takes.
    slots: u32,
    /// Whether it takes more members.
    full: bool,
    heard: Instant,
}

// === impl Room ===

impl Room {
    pub(super) fn new(slots: u32, now: Instant) -> Self {
        Self {
            roster: Roster::default(),
            leads: Leads::default(),
            best: Best::default(),
            slots,
            full: false,
            heard: now,
        }
    }

    pub(super) fn members(&self) -> usize {
        self.roster.len()
    }

    /// Says whether new nodes may become members.
    pub(super) fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Whether nothing is left worth remembering.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.roster.len() == 0 && now >= self.heard + FORGET
    }

    /// Whom `node` was last sent to.
    pub(super) fn parent_of(&self, node: &SocketAddr) -> Option<SocketAddr> {
        self.parent_at(self.roster.seat(node)?)
    }

    /// Where a member's parent is.
    fn parent_at(&self, seat: Seat) -> Option<SocketAddr> {
        self.roster[seat].parent.map(|parent| self.roster[parent].peer.endpoint)
    }

    /// Removes the dead and lets leads lapse.
    pub(super) fn expire(&mut self, now: Instant) {
        self.leads.lapse(&mut self.roster, now);
        while let Some(seat) = self.roster.silent(now) {
            self.leave(seat);
        }
    }

    /// The seat of a node; a new one if it has none and there is room.
    fn seat_for(&mut self, node: &Peer, now: Instant) -> Option<Seat> {
        match self.roster.seat(&node.endpoint) {
            None if self.full => None,
            None => Some(self.roster.join(node, self.slots, now)),
            seat => seat,
        }
    }

    fn grant(&mut self, seat: Seat, now: Instant, count: &mut Counters) {
        let promoted = self.roster[seat].role == Role::Following;
        count.leads += 1;
        count.promotions += u64::from(promoted);
        self.leads.enthrone(seat, &mut self.roster, now);
        self.roster.update(seat, |member| member.granted = true);
    }

    fn leave(&mut self, seat: Seat) {
        self.leads.forget(seat, &self.roster);
        self.roster.leave(seat);
    }
}

/// Takes note of who speaks.
fn note(member: &mut Member, node: &Peer, total: Option<u64>, now: Instant) {
    member.peer.zone.clone_from(&node.zone);
    member.total = total.or(member.total);
    member.hear(now);
}
