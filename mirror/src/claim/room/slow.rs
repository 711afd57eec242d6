//! Parents that are slow, and the followers that should leave them.
//!
//! A slow node holds up all that are behind it, and looks like them: they have what it has. What
//! tells them apart is what lies ready. Where a member grows slowly although its parent has much more
//! for it, the way between the two is jammed, and one of them is slow. Nothing tells which, so both are
//! tried: first the member's own children leave it, as it would be if its link is bad, and then it
//! leaves its parent, once. If it is fast elsewhere, it was the parent. All others behind the two
//! stay: they are as fast as what is above them.
//!
//! Slow is who grows at a fraction of what its zone could do seconds ago. A storm in which all are
//! equally slow, because the registry or the link into the zone is, is left alone.

use std::net::SocketAddr;

use tokio::time::{Duration, Instant};

use super::{Counters, Member, Phase, Room, Seat, Seeker, parents::PIECE};
use crate::claim::pace::grown_at;

/// How many times faster others must have been. A parent with two children gives each half, and three
/// layers at once get a third each, so that is no sign; a link that fell back to a tenth, as broken
/// ones do, is seen within two heartbeats.
const TIMES_SLOWER: u64 = 4;

/// Bytes that lie ready at a parent, at least, before the way from there is jammed. One piece may
/// always be under way, and another one's end be in a socket.
const READY: u64 = 2 * PIECE;

/// How long a member would take, at its own pace, for what lies ready: shorter, and what has to be
/// asked and opened anew costs as much as it saves.
const READY_FOR: Duration = Duration::from_millis(2500);

/// Of what its zone does in a second, one part in so many lies ready where a way is jammed. Who is
/// behind a slow one was a few pieces behind it before, and stays so; who is slow in itself falls
/// behind by half a second's worth within a second.
const PART_OF_A_SECOND: u64 = 2;

/// How long a member counts as slow after the last sign. Nothing else shows it while it serves nobody,
/// so it is tried again at times; sooner, and each newcomer would try it.
const SLOW_FOR: Duration = Duration::from_secs(10);

/// How long a member that is back at the parent which it was told to leave stays there. Long beside what a
/// try costs, a broken stream and a deadline of a connection.
const TRIES_AGAIN: Duration = Duration::from_secs(10);

/// The pace of a member beside the best of its zone, in bytes per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    rate: u64,
    best: u64,
}

// === impl Measured ===

impl Measured {
    /// Whether it is a fraction of what its zone could do of late.
    fn is_slow(self) -> bool {
        self.rate.saturating_mul(TIMES_SLOWER) < self.best
    }

    /// What lies ready at a parent, at least, when the way from there is jammed.
    fn backlog(self) -> u64 {
        much(self.rate).max(self.best / PART_OF_A_SECOND)
    }
}

// === impl Room ===

impl Room {
    /// The pace of a member, once it is known. Who has nothing yet may be in its runtime's queue.
    pub(super) fn measure(&mut self, seat: Seat, now: Instant) -> Option<Measured> {
        let member = &self.roster[seat];
        let rate = member.pace.rate().filter(|_| member.have > 0)?;
        let best = self.best.note(&member.peer.zone, rate, now);
        Some(Measured { rate, best })
    }

    /// Whether a follower is to leave its parent for a better one. It is told until it claims.
    pub(super) fn should_move(&mut self, seat: Seat, now: Instant, count: &mut Counters) -> bool {
        let Some(measured) = self.measure(seat, now) else { return false };
        if !measured.is_slow() {
            self.recover(seat, now);
            return false;
        }
        if self.roster[seat].leaving {
            return true;
        }
        if self.is_back(seat, now)
            || !self.may_gain(seat, measured, now)
            || self.better(seat, &[], count).is_none()
        {
            return false;
        }
        self.send_away(seat, now);
        count.moves += 1;
        true
    }

    /// Whether a slow member may be fast elsewhere: its parent is slow, or was never heard, or has more
    /// for it and has not been tried for the slow one of the two.
    fn may_gain(&mut self, seat: Seat, measured: Measured, now: Instant) -> bool {
        let Some(parent) = self.roster[seat].parent else { return true };
        if self.roster[parent].slow.is_some() {
            return true;
        }
        let jammed = self.is_behind(seat, parent, measured.backlog());
        let known = self.roster[seat].slow.is_some();
        if jammed {
            self.mark_slow(seat, now);
        }
        jammed && known && self.roster[seat].left.is_none()
    }

    /// Whether a parent stands still although its own has much more for it, and so has next to nothing
    /// for a child at byte `at`: its runtime has no room for the blob now, or it is frozen.
    fn holds_up(&self, parent: Seat, at: u64) -> bool {
        let member = &self.roster[parent];
        let stands = member.have < at.saturating_add(PIECE) && member.pace.rate() == Some(0);
        stands && member.parent.is_some_and(|above| self.is_behind(parent, above, READY))
    }

    /// Whether a member can expect bytes from its parent: it does not stand still by itself, nor does
    /// all of the chain because its lead has lapsed, or waits for the registry while another one
    /// delivers. Who has bytes already stays for that: its chain has been promoted as a whole.
    pub(super) fn is_fed(&mut self, seat: Seat, parent: Seat) -> bool {
        let head = self.roster.head(parent);
        let have = self.roster[seat].have;
        let is_dry = self.roster[head].lead().is_some_and(|lead| match lead.phase {
            Phase::Starting => have == 0 && self.leads.is_growing(),
            Phase::Growing(_) => false,
            Phase::Lapsed => true,
        });
        !is_dry && !self.holds_up(parent, have)
    }

    fn send_away(&mut self, seat: Seat, now: Instant) {
        let parent = self.roster[seat].parent.map(|parent| &self.roster[parent]);
        let tried = parent.filter(|parent| parent.slow.is_none());
        let left = tried.map(|parent| parent.peer.endpoint);
        self.roster.update(seat, |member| member.left = left);
        self.tell_to_leave(seat, now);
    }

    /// From now on a member is told to leave its parent, until it claims.
    pub(super) fn tell_to_leave(&mut self, seat: Seat, now: Instant) {
        let parent = self.parent_at(seat).map(|parent| (parent, now));
        self.roster.update(seat, |member| (member.leaving, member.sent_from) = (true, parent));
    }

    /// Whether a member is back at the parent that it was told to leave a while ago: it reached nobody
    /// better, and each try breaks a good stream.
    pub(super) fn is_back(&self, seat: Seat, now: Instant) -> bool {
        let Member { sent_from, leaving, .. } = self.roster[seat];
        let parent = self.parent_at(seat);
        let is_there = |(from, at)| parent == Some(from) && now < at + TRIES_AGAIN;
        !leaving && sent_from.is_some_and(is_there)
    }

    /// A member is as fast as others. If it has left a parent that had more for it, that one is slow.
    fn recover(&mut self, seat: Seat, now: Instant) {
        let Member { leaving, left, .. } = self.roster[seat];
        let blamed = left.filter(|_| !leaving).and_then(|parent| self.roster.seat(&parent));
        if let Some(parent) = blamed {
            self.mark_slow(parent, now);
        }
        if leaving || left.is_some() {
            self.roster.update(seat, |member| (member.leaving, member.left) = (false, None));
        }
    }

    fn mark_slow(&mut self, seat: Seat, now: Instant) {
        self.roster.update(seat, |member| member.slow = Some(now + SLOW_FOR));
    }

    /// Whether `other` has so much that `seat` lacks.
    fn is_behind(&self, seat: Seat, other: Seat, bytes: u64) -> bool {
        self.roster[other].have >= self.roster[seat].have.saturating_add(bytes)
    }

    /// Somebody other than its parent who has much more than a member and is not slow; none that it has
    /// lost.
    pub(super) fn better(
        &mut self,
        seat: Seat,
        lost: &[SocketAddr],
        count: &mut Counters,
    ) -> Option<Seat> {
        let member = &self.roster[seat];
        let much = much(member.pace.rate().unwrap_or(0));
        let zone = member.peer.zone.clone();
        let lost: Vec<_> = lost.iter().copied().chain(self.parent_at(seat)).collect();
        let seeker = Seeker {
            node: member.peer.endpoint,
            seat: Some(seat),
            zone: &zone,
            have: member.have.saturating_add(much - 1),
            total: member.total,
            lost: &lost,
        };
        let found = seeker.find(&mut self.roster);
        count.looked_at += found.looked_at as u64;
        let is_fast = |other: &Seat| self.roster[*other].slow.is_none();
        let mut better = found.parents.into_iter().filter(is_fast);
        better.find(|other| self.is_behind(seat, *other, much))
    }
}

/// What has to lie ready for a member of this pace.
fn much(rate: u64) -> u64 {
    READY.max(grown_at(rate, READY_FOR))
}
