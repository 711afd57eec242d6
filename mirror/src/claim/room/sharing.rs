//! Members that share a parent's uplink while somebody who is as far serves nobody.
//!
//! Two members come to one parent where nodes begin a blob at different times: who has room for it first
//! passes those that wait, and they come after it to the same parent. Each gets half then, and so do
//! all behind the two, to the end of the blob. So the last of them goes to the end of a chain.

use std::{cmp::Reverse, net::SocketAddr};

use tokio::time::Instant;

use super::{Counters, Role, Room, Seat, parents::MOST_LOOKED_AT};
use crate::claim::timing::HEARTBEAT;

// === impl Room ===

impl Room {
    /// Whether a follower is to leave a parent that serves others as well, for one that serves nobody.
    pub(super) fn should_part(&mut self, seat: Seat, now: Instant, count: &mut Counters) -> bool {
        if self.is_back(seat, now) || self.unshared(seat, &[], now, count).is_none() {
            return false;
        }
        if !self.roster[seat].leaving {
            count.parted += 1;
            self.tell_to_leave(seat, now);
        }
        true
    }

    /// Somebody of its zone who is as far as a member and serves nobody, if the member is the last of
    /// several that share a parent; none that it has lost.
    pub(super) fn unshared(
        &mut self,
        seat: Seat,
        lost: &[SocketAddr],
        now: Instant,
        count: &mut Counters,
    ) -> Option<Seat> {
        if !self.is_last_of_several(seat, now) {
            return None;
        }
        let member = &self.roster[seat];
        let (parent, have) = (member.parent, member.have);
        let a_heartbeat_ago = have.saturating_sub(member.pace.grown_in(HEARTBEAT));
        let shelf = self.roster.zone(&member.peer.zone)?;
        let holders = shelf.idle_holders().take(MOST_LOOKED_AT);
        let others = shelf.past(a_heartbeat_ago).take(MOST_LOOKED_AT);
        let found: Vec<_> = holders.chain(others).collect();
        found.into_iter().find(|other| {
            count.looked_at += 1;
            let serves_nobody = self.roster[*other].children.is_empty();
            let is_lost = lost.contains(&self.roster[*other].peer.endpoint);
            let is_other = *other != seat && parent != Some(*other) && !is_lost;
            let is_as_far = self.roster[*other].reaches(now) >= have;
            is_other && serves_nobody && is_as_far && self.roster.may_hang(seat, *other)
        })
    }

    /// Whether others stream from its parent as well, and all are further.
    fn is_last_of_several(&self, seat: Seat, now: Instant) -> bool {
        let member = &self.roster[seat];
        // Who has nothing yet may be next in a queue.
        let streams_itself = member.confirmed && member.have > 0;
        let Some(parent) = member.parent.filter(|_| streams_itself) else { return false };
        let place = |seat: Seat| (self.roster[seat].reaches(now), Reverse(seat));
        let streams = |other: &Seat| {
            let other = &self.roster[*other];
            other.confirmed && other.role == Role::Following
        };
        let others = self.roster[parent].children.iter().copied().filter(|other| *other != seat);
        let mut others = others.filter(streams).peekable();
        others.peek().is_some() && others.all(|other| place(other) > place(seat))
    }
}
