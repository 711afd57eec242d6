//! Who leads in a room, and when somebody else may.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::claim::{
    member::{Lead, Member, Phase, Role, Seat},
    roster::Roster,
    timing::{HEIR_WAIT, LAPSE, LINE, PATIENCE_IN_LINE, RELEARN, SILENCE, SLOW_START},
};

/// Most doublings of the slow-start rule. 2^12 leads are a storm of their own; a registry that
/// answered none of them for a minute answers nobody.
const MOST_DOUBLINGS: u32 = 12;

/// The leads of one room.
#[derive(Debug, Default)]
pub(super) struct Leads {
    /// Those of which nothing arrived yet, by when they began.
    starting: BTreeSet<(Instant, Seat)>,
    /// Those that grow, by when they last did.
    growing: BTreeSet<(Instant, Seat)>,
    /// While nobody grows: since when the registry has been waited for.
    slow: Option<SlowStart>,
    /// When a lead of which nothing came said last that it is in its runtime's queue.
    queued: Option<Instant>,
    /// Since when there has been no source, as far as noticed.
    vacant: Option<Instant>,
    /// Until when an unknown lead is waited for.
    relearn: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct SlowStart {
    since: Instant,
    added: u32,
}

/// Who asks for the lead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) seat: Seat,
    /// Complete members that this one could still turn to.
    pub(super) holders: usize,
}

// === impl Leads ===

impl Leads {
    /// Whether bytes come from somewhere, or will.
    pub(super) fn have_source(&self, holders: usize, now: Instant) -> bool {
        let awaited = self
            .starting
            .last()
            .is_some_and(|(since, _)| self.slow.is_some() || now < *since + SLOW_START);
        holders > 0 || !self.growing.is_empty() || awaited
    }

    /// Whether some lead delivers.
    pub(super) fn is_growing(&self) -> bool {
        !self.growing.is_empty()
    }

    /// Leads that may still deliver, the one that grew last first.
    pub(super) fn live(&self) -> impl Iterator<Item = Seat> {
        let growing = self.growing.iter().rev().map(|(_, seat)| *seat);
        growing.chain(self.starting.iter().map(|(_, seat)| *seat))
    }

    /// Learned from somebody else's followers: there is a lead that was not heard yet.
    pub(super) fn expect_stranger(&mut self, now: Instant) {
        self.relearn.get_or_insert(now + RELEARN);
    }

    /// Whether `candidate` may take the lead now.
    pub(super) fn is_due(&mut self, candidate: Candidate, roster: &Roster, now: Instant) -> bool {
        let member = &roster[candidate.seat];
        if !member.may_lead || self.relearn.is_some_and(|until| now < until) {
            return false;
        }
        let best = roster.longest_heir();
        let first_in_line = match best {
            Some(best) => member.is_heir() && member.have >= best,
            None => true,
        };
        if self.have_source(candidate.holders, now) {
            let is_due = first_in_line && self.company_is_due(now);
            if is_due && self.can_wait(member, now) {
                self.begin_anew(now);
                return false;
            }
            return is_due;
        }
        let vacant = *self.vacant.get_or_insert(now);
        first_in_line || now >= vacant + HEIR_WAIT
    }

    /// The slow-start rule: while no lead has grown, 1, 2, 4, … more at intervals. If all that were slow have
    /// gone, those named since get their time first.
    fn company_is_due(&self, now: Instant) -> bool {
        let Some(slow) = self.slow.filter(|_| self.growing.is_empty()) else { return false };
        if self.starting.first().is_none_or(|(since, _)| now < *since + SLOW_START) {
            return false;
        }
        let waited = now.saturating_duration_since(slow.since);
        let intervals = waited.as_secs() / SLOW_START.as_secs();
        let doublings = u32::try_from(intervals).unwrap_or(MOST_DOUBLINGS).min(MOST_DOUBLINGS);
        slow.added < (1 << doublings) - 1
    }

    /// Company that was due and not needed is not made up for: all that waited would lead at once.
    fn begin_anew(&mut self, now: Instant) {
        let interval_ago = now.checked_sub(SLOW_START).unwrap_or(now);
        if let Some(slow) = &mut self.slow {
            *slow = SlowStart { since: slow.since.max(interval_ago), added: 0 };
        }
    }

    /// Whether there is a lead of which nothing came because its runtime has no slot for it, and a member without
    /// a byte that has time. A second lead would be a second copy, as the first will go to the registry.
    fn can_wait(&self, member: &Member, now: Instant) -> bool {
        let is_queued = self.queued.is_some_and(|said| now < said + SILENCE);
        is_queued && member.have == 0 && (member.patient || now < member.joined + PATIENCE_IN_LINE)
    }

    /// `seat` says that it leads although it made nothing of a lead before. It is no source until it
    /// grows.
    pub(super) fn tolerate(&mut self, seat: Seat, roster: &mut Roster, now: Instant) {
        roster.detach(seat);
        roster.update(seat, |member| {
            let lead = Lead { phase: Phase::Lapsed, peak: member.have, since: now };
            member.role = Role::Leading(lead);
        });
    }

    /// `seat` leads from now on, because it was told to or because it says so.
    pub(super) fn enthrone(&mut self, seat: Seat, roster: &mut Roster, now: Instant) {
        roster.detach(seat);
        match &mut self.slow {
            Some(slow) if !self.starting.is_empty() => slow.added += 1,
            slow if self.growing.is_empty() => *slow = Some(SlowStart { since: now, added: 0 }),
            _ => {}
        }
        self.starting.insert((now, seat));
        self.found_source();
        roster.update(seat, |member| {
            let lead = Lead { phase: Phase::Starting, peak: member.have, since: now };
            member.role = Role::Leading(lead);
            member.waiting = None;
            member.passed_over = false;
            member.depth = 0;
        });
    }

    /// A lead that does not grow is busy with other blobs: it is not the registry that is slow. But who waits
    /// for its first byte does not wait for as long as it may be queued.
    pub(super) fn wait_in_line(&mut self, seat: Seat, roster: &mut Roster, now: Instant) {
        let Some(lead) = roster[seat].lead().copied() else { return };
        if let Some(slow) = self.slow.as_mut().filter(|_| now < lead.since + LINE) {
            slow.since = now;
        }
        if lead.phase == Phase::Starting {
            self.queued = Some(now);
        }
        if let Phase::Growing(_) = lead.phase {
            self.abdicate(seat, &lead);
            self.growing.insert((now, seat));
            let grown = Lead { phase: Phase::Growing(now), ..lead };
            roster.update(seat, |member| member.role = Role::Leading(grown));
        }
    }

    /// There is a source, so whatever was awaited is over.
    pub(super) fn found_source(&mut self) {
        self.vacant = None;
        self.relearn = None;
    }

    /// Takes note of what a lead has now.
    pub(super) fn follow_growth(&mut self, seat: Seat, roster: &mut Roster, now: Instant) {
        let Some(lead) = roster[seat].lead().copied() else { return };
        let have = roster[seat].have;
        if have <= lead.peak {
            return;
        }
        self.abdicate(seat, &lead);
        self.growing.insert((now, seat));
        self.slow = None;
        self.found_source();
        roster.update(seat, |member| {
            let grown = Lead { phase: Phase::Growing(now), peak: have, ..lead };
            member.role = Role::Leading(grown);
            member.passed_over = false;
        });
    }

    /// Lets those lapse that stopped growing.
    pub(super) fn lapse(&mut self, roster: &mut Roster, now: Instant) {
        while let Some((grew, seat)) = self.growing.first().copied()
            && now >= grew + LAPSE
        {
            self.growing.pop_first();
            if let Some(lead) = roster[seat].lead().copied() {
                roster.update(seat, |member| {
                    member.role = Role::Leading(Lead { phase: Phase::Lapsed, ..lead });
                    member.passed_over = true;
                });
            }
        }
    }

    /// `seat` leads no more, if it did.
    pub(super) fn forget(&mut self, seat: Seat, roster: &Roster) {
        if let Some(lead) = roster[seat].lead() {
            self.abdicate(seat, lead);
        }
    }

    fn abdicate(&mut self, seat: Seat, lead: &Lead) {
        match lead.phase {
            Phase::Starting => _ = self.starting.remove(&(lead.since, seat)),
            Phase::Growing(grew) => _ = self.growing.remove(&(grew, seat)),
            Phase::Lapsed => {}
        }
    }
}
