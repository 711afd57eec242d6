//! How a room answers a claim.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::{Candidate, Counters, Phase, Role, Room, Seat, Seeker, note};
use crate::claim::{Claim, Intent, MOST_LOST, MOST_PARENTS, Verdict};

impl Room {
    /// Answers a claim.
    pub(in crate::claim) fn claim(
        &mut self,
        claim: &Claim,
        now: Instant,
        count: &mut Counters,
    ) -> Verdict {
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
        if claim.have == 0 {
            self.seat_the_queue(seat, lost, now, count);
        }
        match self.follow(seat, lost, now, count) {
            Some(verdict) => verdict,
            None => self.wait(seat, lost, now, count),
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
        let parents = self.with_a_lead(found.parents, claim, lost);
        self.name(&parents).map_or(Verdict::NotYet, Verdict::Follow)
    }

    /// The parents, and as the last one a lead that has bytes: who looks wants to know whether the blob
    /// is arriving anywhere.
    fn with_a_lead(&self, mut parents: Vec<Seat>, claim: &Claim, lost: &[SocketAddr]) -> Vec<Seat> {
        let delivers = |lead: &Seat| {
            let lead = &self.roster[*lead];
            let endpoint = lead.peer.endpoint;
            lead.have > claim.have && endpoint != claim.node.endpoint && !lost.contains(&endpoint)
        };
        if let Some(lead) = self.leads.live().find(delivers).filter(|it| !parents.contains(it)) {
            parents.truncate(MOST_PARENTS - 1);
            parents.push(lead);
        }
        parents
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
            // It has come back for the last time: its word that it left may come later than that.
            if member.patient && !claim.patient {
                member.joined = now;
            }
            member.patient = claim.patient;
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

    /// Ends an edge that the child says is broken. Until the parent is heard again nobody else is
    /// sent there, and its silence is believed sooner. One that was left for being slow lives.
    fn part_from_lost(&mut self, seat: Seat, lost: &[SocketAddr], now: Instant) {
        let Some(parent) = self.roster[seat].parent else { return };
        let endpoint = self.roster[parent].peer.endpoint;
        if !self.roster[seat].leaving && lost.contains(&endpoint) {
            self.roster.update(parent, |member| _ = member.doubted.get_or_insert(now));
            self.roster.update(seat, |member| member.gave_up = Some(endpoint));
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
}
