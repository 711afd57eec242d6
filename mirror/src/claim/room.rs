//! One digest at its coordinator: who wants it, who has it, who streams from whom.

use std::net::SocketAddr;

use tokio::time::Instant;

use self::{
    leads::{Candidate, Leads},
    parents::Seeker,
};
use super::{
    Advice, Claim, Intent, MOST_LOST, Parent, Progress, Stage, Verdict,
    coordinator::Counters,
    member::{Member, Phase, Role, Seat},
    roster::Roster,
    timing::{DOUBT, FORGET, PATIENCE},
};
use crate::router::Peer;

mod leads;
mod parents;
mod progress;

/// The state of one digest.
#[derive(Debug)]
pub(super) struct Room {
    roster: Roster,
    leads: Leads,
    /// How many children a member gets that has not said how many it takes.
    slots: u32,
    /// Whether it takes more members.
    full: bool,
    heard: Instant,
}

// === impl Room ===

impl Room {
    pub(super) fn new(slots: u32, now: Instant) -> Self {
        Self { roster: Roster::default(), leads: Leads::default(), slots, full: false, heard: now }
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
        let parent = self.roster[self.roster.seat(node)?].parent?;
        Some(self.roster[parent].peer.endpoint)
    }

    /// Removes the dead and lets leads lapse.
    pub(super) fn expire(&mut self, now: Instant) {
        self.leads.lapse(&mut self.roster, now);
        while let Some(seat) = self.roster.silent(now) {
            self.leave(seat);
        }
    }

    /// Answers a claim.
    pub(super) fn claim(&mut self, claim: &Claim, now: Instant, count: &mut Counters) -> Verdict {
        self.heard = now;
        self.expire(now);
        let lost = &claim.lost[..claim.lost.len().min(MOST_LOST)];
        if claim.intent == Intent::Look {
            return self.look(claim, lost, count);
        }
        let Some(seat) = self.enter(claim, lost, now) else {
            return self.turn_away(claim, lost, count);
        };
        if self.has_standing_lead(seat) {
            return Verdict::Lead;
        }
        let holders = self.holders_beside(seat, lost);
        if self.leads.is_due(Candidate { seat, holders }, &self.roster, now) {
            self.grant(seat, now, count);
            return Verdict::Lead;
        }
        match self.follow(seat, lost, count) {
            Some(verdict) => verdict,
            None => self.wait(seat, now, count),
        }
    }

    /// An answer that leaves no trace.
    fn look(&mut self, claim: &Claim, lost: &[SocketAddr], count: &mut Counters) -> Verdict {
        let seat = self.roster.seat(&claim.node.endpoint);
        let seeker = Seeker {
            node: claim.node.endpoint,
            seat,
            zone: &claim.node.zone,
            have: claim.have,
            total: claim.total,
            lost,
        };
        let found = seeker.find(&mut self.roster);
        count.looked_at += found.looked_at as u64;
        self.name(&found.parents).map_or(Verdict::NotYet, Verdict::Follow)
    }

    /// The answer when there is no seat left: parents if there are any, else fail open.
    fn turn_away(&mut self, claim: &Claim, lost: &[SocketAddr], count: &mut Counters) -> Verdict {
        count.turned_away += 1;
        match self.look(claim, lost, count) {
            Verdict::NotYet if claim.may_lead => Verdict::Lead,
            verdict => verdict,
        }
    }

    /// Makes the claimant a member, or takes note of what it says now.
    fn enter(&mut self, claim: &Claim, lost: &[SocketAddr], now: Instant) -> Option<Seat> {
        let newcomer = self.members() == 0;
        let seat = self.seat_for(&claim.node, now)?;
        if newcomer && claim.have > 0 && !lost.is_empty() {
            self.leads.expect_stranger(now);
        }
        let usurps = !claim.may_lead || self.roster[seat].role == Role::Complete;
        if usurps {
            self.leads.forget(seat, &self.roster);
        }
        self.roster.update(seat, |member| {
            note(member, &claim.node, claim.total, now);
            member.have = claim.have;
            member.may_lead = claim.may_lead;
            match &mut member.role {
                Role::Leading(lead) if claim.may_lead => lead.peak = lead.peak.min(claim.have),
                Role::Leading(_) | Role::Complete => member.role = Role::Waiting,
                Role::Waiting | Role::Following => {}
            }
        });
        self.leads.follow_growth(seat, &mut self.roster, now);
        self.part_from_lost(seat, lost, now);
        Some(seat)
    }

    /// The seat of a node; a new one if it has none and there is room.
    fn seat_for(&mut self, node: &Peer, now: Instant) -> Option<Seat> {
        match self.roster.seat(&node.endpoint) {
            None if self.full => None,
            None => Some(self.roster.join(node, self.slots, now)),
            seat => seat,
        }
    }

    /// Ends an edge that the child says is broken. Until the parent is heard again nobody else is
    /// sent there, and its silence is believed sooner.
    fn part_from_lost(&mut self, seat: Seat, lost: &[SocketAddr], now: Instant) {
        let Some(parent) = self.roster[seat].parent else { return };
        if lost.contains(&self.roster[parent].peer.endpoint) {
            self.roster.update(parent, |member| _ = member.doubted.get_or_insert(now));
        }
    }

    fn has_standing_lead(&self, seat: Seat) -> bool {
        self.roster[seat].lead().is_some_and(|lead| lead.phase != Phase::Lapsed)
    }

    /// Complete members that a claimant has not lost.
    fn holders_beside(&self, seat: Seat, lost: &[SocketAddr]) -> usize {
        let is_holder = |node: &&SocketAddr| {
            let holder = self.roster.seat(node).filter(|holder| *holder != seat);
            holder.is_some_and(|holder| self.roster[holder].role == Role::Complete)
        };
        self.roster.holders().saturating_sub(lost.iter().filter(is_holder).count())
    }

    fn grant(&mut self, seat: Seat, now: Instant, count: &mut Counters) {
        let promoted = self.roster[seat].role == Role::Following;
        count.leads += 1;
        count.promotions += u64::from(promoted);
        self.leads.enthrone(seat, &mut self.roster, now);
        self.roster.update(seat, |member| member.granted = true);
    }

    /// Keeps the parent that the node has, or finds it one.
    fn follow(&mut self, seat: Seat, lost: &[SocketAddr], count: &mut Counters) -> Option<Verdict> {
        let found = self.seek(seat, lost, count);
        let standing = self.roster[seat].parent.filter(|parent| {
            let parent = &self.roster[*parent];
            parent.doubted.is_none() && !lost.contains(&parent.peer.endpoint)
        });
        let parent = standing.or(found.first().copied())?;
        if standing.is_none() {
            self.leads.forget(seat, &self.roster);
            self.roster.attach(seat, parent, false);
        }
        self.roster.update(seat, |member| member.waiting = None);
        let spares = found.into_iter().filter(|spare| *spare != parent);
        let parents: Vec<_> = std::iter::once(parent).chain(spares).collect();
        self.name(&parents).map(Verdict::Follow)
    }

    fn seek(&mut self, seat: Seat, lost: &[SocketAddr], count: &mut Counters) -> Vec<Seat> {
        let member = &self.roster[seat];
        let zone = member.peer.zone.clone();
        let (have, total) = (member.have, member.total);
        let node = member.peer.endpoint;
        let seeker = Seeker { node, seat: Some(seat), zone: &zone, have, total, lost };
        let found = seeker.find(&mut self.roster);
        count.looked_at += found.looked_at as u64;
        found.parents
    }

    /// Nobody to follow now. Patience ends in something to try, whatever happened: parents that
    /// were lost before, then a lead or holder without a free slot, then upstream.
    fn wait(&mut self, seat: Seat, now: Instant, count: &mut Counters) -> Verdict {
        self.roster.detach(seat);
        self.leads.forget(seat, &self.roster);
        self.roster.update(seat, |member| {
            member.role = Role::Waiting;
            member.waiting.get_or_insert(now);
        });
        let since = self.roster[seat].waiting.unwrap_or(now);
        if !self.roster[seat].may_lead || now < since + PATIENCE {
            return Verdict::NotYet;
        }
        if let Some(verdict) = self.follow(seat, &[], count) {
            return verdict;
        }
        if let Some(parents) = self.name(&self.sources_ahead_of(seat)) {
            return Verdict::Follow(parents);
        }
        count.impatient += 1;
        self.grant(seat, now, count);
        Verdict::Lead
    }

    /// Leads that are ahead of a member, whether or not they have a slot.
    fn sources_ahead_of(&self, seat: Seat) -> Vec<Seat> {
        let have = self.roster[seat].have;
        let ahead = |other: &Seat| have == 0 || self.roster[*other].have > have;
        self.leads.live().take(super::MOST_PARENTS).filter(ahead).collect()
    }

    /// The parents as they are sent; `None` if there are none.
    fn name(&self, seats: &[Seat]) -> Option<Vec<Parent>> {
        let parent = |seat: &Seat| {
            let member = &self.roster[*seat];
            let complete = member.role == Role::Complete;
            Parent { peer: member.peer.clone(), have: member.have, complete }
        };
        let parents = seats.iter().take(super::MOST_PARENTS).map(parent).collect::<Vec<_>>();
        (!parents.is_empty()).then_some(parents)
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
