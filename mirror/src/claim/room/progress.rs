//! What a room learns from its participants.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::{Candidate, Counters, Member, Phase, Role, Room, Seat, note};
use crate::claim::{Advice, Progress, Stage, timing::DOUBT};

impl Room {
    /// Takes note of what a participant says, and tells it if it is promoted, or should
    /// leave its parent.
    pub(in crate::claim) fn progress(
        &mut self,
        progress: &Progress,
        now: Instant,
        count: &mut Counters,
    ) -> Advice {
        self.heard = now;
        self.expire(now);
        let known = self.roster.seat(&progress.node.endpoint);
        if progress.state == Stage::Gone {
            if let Some(seat) = known {
                self.leave(seat);
            }
            return Advice::CarryOn;
        }
        let Some(seat) = self.seat_for(&progress.node, now) else { return Advice::CarryOn };
        self.roster.update(seat, |member| {
            note(member, &progress.node, progress.total, now);
            member.tried_again &= progress.have <= member.have;
            member.have = progress.have;
            member.may_lead = progress.may_lead;
            member.patient = progress.patient;
            // It does something; when it waits again, its patience begins anew.
            if !is_out_of_date(member, progress.state) {
                member.waiting = None;
            }
            member.pace.note(progress.have, now);
            member.slow = member.slow.filter(|until| now < *until);
        });
        self.roster.offer(seat, progress.free_slots);
        match progress.state {
            Stage::Complete => self.completed(seat),
            Stage::Leading => {
                self.leads_itself(seat, now, count);
                self.measure(seat, now);
            }
            Stage::Queued => {
                self.leads_itself(seat, now, count);
                self.leads.wait_in_line(seat, &mut self.roster, now);
            }
            Stage::Following { parent } => {
                return self.follows(seat, parent, known.is_none(), now, count);
            }
            Stage::Gone => {}
        }
        Advice::CarryOn
    }

    fn completed(&mut self, seat: Seat) {
        self.leads.forget(seat, &self.roster);
        self.leads.found_source();
        self.roster.detach(seat);
        self.roster.update(seat, |member| {
            member.role = Role::Complete;
            member.depth = 0;
        });
    }

    fn leads_itself(&mut self, seat: Seat, now: Instant, count: &mut Counters) {
        if self.roster[seat].lead().is_none() {
            let rival = self.leads.live().any(|other| other != seat);
            count.second_leads += u64::from(rival && !self.roster[seat].granted);
            if self.roster[seat].passed_over {
                self.leads.tolerate(seat, &mut self.roster, now);
            } else {
                self.leads.enthrone(seat, &mut self.roster, now);
            }
        }
        self.leads.follow_growth(seat, &mut self.roster, now);
    }

    fn follows(
        &mut self,
        seat: Seat,
        parent: SocketAddr,
        is_new: bool,
        now: Instant,
        count: &mut Counters,
    ) -> Advice {
        if let Some(lead) = self.roster[seat].lead().copied() {
            if lead.phase == Phase::Starting && now < lead.since + DOUBT {
                return Advice::Lead;
            }
            self.leads.forget(seat, &self.roster);
            self.roster.update(seat, |member| member.passed_over = true);
        }
        if is_new && !self.leads.have_source(self.roster.holders(), now) {
            self.leads.expect_stranger(now);
        }
        let waits = self.roster[seat].waits_without(parent);
        if !waits {
            self.adopt_edge(seat, parent);
        }
        let candidate = Candidate { seat, holders: self.roster.holders() };
        if self.leads.is_due(candidate, &self.roster, now) {
            self.grant(seat, now, count);
            return Advice::Lead;
        }
        let moves = !waits
            && (self.should_move(seat, now, count)
                || self.waits_in_vain(seat, count)
                || self.should_part(seat, now, count));
        if moves { Advice::Move } else { Advice::CarryOn }
    }

    /// Whether a follower waits for the first byte of a parent that is dead, while there is another; or to
    /// which none comes, while somebody else has some. A connection to a node that went dark without a
    /// word looks like one to a node that has nothing yet, so it would wait as long as it may.
    fn waits_in_vain(&mut self, seat: Seat, count: &mut Counters) -> bool {
        let Member { have, orphan, parent, .. } = self.roster[seat];
        if have > 0 || !(orphan || parent.is_some_and(|parent| !self.is_fed(seat, parent))) {
            return false;
        }
        let found = self.seek(seat, &[], count);
        let mut delivers = |other: Seat| self.roster[other].have > 0 && self.is_fed(seat, other);
        found.into_iter().any(|other| orphan || delivers(other))
    }

    /// Believes a node about whom it follows, unless that would close a ring: then one of two
    /// reports is out of date, and nodes that wait for each other do not for long (ADR 7).
    fn adopt_edge(&mut self, seat: Seat, parent: SocketAddr) {
        self.roster.update(seat, |member| member.role = Role::Following);
        let parent = self.roster.seat(&parent);
        if parent.is_some() && parent == self.roster[seat].parent {
            self.roster.update(seat, |member| member.confirmed = true);
            return;
        }
        self.roster.detach(seat);
        if let Some(parent) = parent
            && self.roster.may_hang(seat, parent)
        {
            self.roster.attach(seat, parent, true);
        }
    }
}

/// Whether a participant that waits speaks of the parent that it has lost: nothing has changed for it.
fn is_out_of_date(member: &Member, stage: Stage) -> bool {
    matches!(stage, Stage::Following { parent } if member.waits_without(parent))
}
