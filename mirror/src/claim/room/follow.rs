//! Giving a member its parents, or letting it wait for some.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::{Counters, Member, Role, Room, Seat, Seeker};
use crate::claim::{
    MOST_PARENTS, Parent, Verdict,
    timing::{PATIENCE, RECONSIDER, SECOND_PATIENCE},
};

impl Room {
    /// Keeps the parent that the node has, or finds it one.
    pub(super) fn follow(
        &mut self,
        seat: Seat,
        lost: &[SocketAddr],
        now: Instant,
        count: &mut Counters,
    ) -> Option<Verdict> {
        let found = self.seek(seat, lost, count);
        let kept = self.roster[seat].parent.filter(|parent| {
            let parent = &self.roster[*parent];
            parent.doubted.is_none() && !lost.contains(&parent.peer.endpoint)
        });
        let standing = kept.filter(|parent| self.is_fed(seat, *parent));
        let left = self.roster[seat].parent.filter(|_| self.roster[seat].leaving);
        let goal = standing.or_else(|| Some(self.goal_of_move(seat, left?, lost, now, count)));
        let fed = goal.or_else(|| found.iter().copied().find(|other| self.is_fed(seat, *other)));
        let parent = fed.or(found.first().copied()).or(kept)?;
        if self.roster[seat].parent != Some(parent) {
            self.leads.forget(seat, &self.roster);
            self.roster.attach(seat, parent, false);
            self.roster.come_last(seat);
        }
        self.roster.update(seat, |member| {
            member.waiting = None;
            member.gave_up = None;
            member.leaving = false;
        });
        // Where it streamed until it was told to leave is the last resort: it may reach none of the others.
        let resort = left.filter(|left| *left != parent);
        let spares = found.into_iter().filter(|spare| *spare != parent && Some(*spare) != resort);
        let spares = spares.take(MOST_PARENTS - 1 - usize::from(resort.is_some()));
        let parents: Vec<_> = std::iter::once(parent).chain(spares).chain(resort).collect();
        self.name(&parents).map(Verdict::Follow)
    }

    /// Gives all that wait for a first parent one, in order, as soon as one of them could have one. They
    /// hear of it when they ask again.
    pub(super) fn seat_the_queue(
        &mut self,
        seat: Seat,
        lost: &[SocketAddr],
        now: Instant,
        count: &mut Counters,
    ) {
        if self.roster.next_in_queue().is_none() || self.seek(seat, lost, count).is_empty() {
            return;
        }
        while let Some(next) = self.roster.next_in_queue()
            && self.follow(next, &[], now, count).is_some()
        {}
    }

    /// Where a member goes that was told to leave `parent`. If the better one has gone meanwhile, it is no
    /// worse off where it was.
    fn goal_of_move(
        &mut self,
        seat: Seat,
        parent: Seat,
        lost: &[SocketAddr],
        now: Instant,
        count: &mut Counters,
    ) -> Seat {
        let other = self.unshared(seat, lost, now, count);
        other.or_else(|| self.better(seat, lost, count)).unwrap_or(parent)
    }

    pub(super) fn seek(
        &mut self,
        seat: Seat,
        lost: &[SocketAddr],
        count: &mut Counters,
    ) -> Vec<Seat> {
        let member = &self.roster[seat];
        let zone = member.peer.zone.clone();
        let (have, total) = (member.have, member.total);
        let node = member.peer.endpoint;
        let seeker = Seeker { node, seat: Some(seat), zone: &zone, have, total, lost };
        let found = seeker.find(&mut self.roster);
        count.looked_at += found.looked_at as u64;
        found.parents
    }

    /// Nobody to follow now. Soon parents that were lost before are tried once more, if they have been heard
    /// since: it may have been a connection that broke. Patience ends in something to try, whatever
    /// happened: those again, then a lead or holder without a free slot, then upstream. Who has tried
    /// twice in vain is less patient, and goes upstream at once if it has lost all that deliver.
    pub(super) fn wait(
        &mut self,
        seat: Seat,
        lost: &[SocketAddr],
        now: Instant,
        count: &mut Counters,
    ) -> Verdict {
        self.roster.detach(seat);
        self.leads.forget(seat, &self.roster);
        self.roster.update(seat, |member| {
            member.role = Role::Waiting;
            member.waiting.get_or_insert(now);
        });
        let Member { may_lead, tried_again, waiting, .. } = self.roster[seat];
        let since = waiting.unwrap_or(now);
        if !tried_again
            && !lost.is_empty()
            && now >= since + RECONSIDER
            && let Some(verdict) = self.follow(seat, &[], now, count)
        {
            self.roster.update(seat, |member| member.tried_again = true);
            return verdict;
        }
        let (patience, lost) =
            if tried_again { (SECOND_PATIENCE, lost) } else { (PATIENCE, &[][..]) };
        if !may_lead || now < since + patience {
            return Verdict::NotYet;
        }
        if let Some(verdict) = self.follow(seat, lost, now, count) {
            return verdict;
        }
        if let Some(parents) = self.name(&self.sources_ahead_of(seat, lost)) {
            return Verdict::Follow(parents);
        }
        count.impatient += 1;
        self.grant(seat, now, count);
        Verdict::Lead
    }

    /// Leads that are ahead of a member, whether or not they have a slot; none that it has lost.
    fn sources_ahead_of(&self, seat: Seat, lost: &[SocketAddr]) -> Vec<Seat> {
        let have = self.roster[seat].have;
        let ahead = |other: &Seat| {
            let other = &self.roster[*other];
            (have == 0 || other.have > have) && !lost.contains(&other.peer.endpoint)
        };
        self.leads.live().take(MOST_PARENTS).filter(ahead).collect()
    }

    /// The parents as they are sent; `None` if there are none.
    pub(super) fn name(&self, seats: &[Seat]) -> Option<Vec<Parent>> {
        let parent = |seat: &Seat| {
            let member = &self.roster[*seat];
            let complete = member.role == Role::Complete;
            Parent { peer: member.peer.clone(), have: member.have, complete }
        };
        let parents = seats.iter().take(MOST_PARENTS).map(parent).collect::<Vec<_>>();
        (!parents.is_empty()).then_some(parents)
    }
}
