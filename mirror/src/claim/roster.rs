//! The members of one room and every index over them, kept in step.
//!
//! All changes of a member go through [`Roster::update`], which takes it out of the indexes, lets
//! it be changed, and files it again. Each index is ordered, so that whatever the room looks for is
//! found in logarithmic time; nothing here walks over all members.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    ops::Index,
};

use tokio::time::Instant;

use super::{
    forest::Forest,
    member::{Filed, Member, Role, Seat},
    shelf::Shelf,
};
use crate::router::Peer;

/// Most children that a member is believed to take. More streams than this would each be slower
/// than a chain, whatever its network card.
const MOST_SLOTS: u32 = 64;

/// The members, by seat.
#[derive(Debug, Default)]
pub(super) struct Roster {
    seats: HashMap<SocketAddr, Seat>,
    /// Seats that nobody has hold whoever left last.
    members: Vec<Member>,
    vacant: Vec<Seat>,
    pub(super) forest: Forest,
    zones: HashMap<Option<String>, Shelf>,
    /// The open members of all zones.
    everywhere: Shelf,
    /// Who can be promoted, the longest prefix first.
    heirs: BTreeSet<(Reverse<u64>, u64, Seat)>,
    /// When each member's silence is death.
    silences: BTreeSet<(Instant, Seat)>,
    holders: usize,
    joined: u64,
}

// === impl Roster ===

impl Index<Seat> for Roster {
    type Output = Member;

    fn index(&self, seat: Seat) -> &Member {
        &self.members[seat]
    }
}

impl Roster {
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// How many members are complete.
    pub(super) fn holders(&self) -> usize {
        self.holders
    }

    pub(super) fn seat(&self, node: &SocketAddr) -> Option<Seat> {
        self.seats.get(node).copied()
    }

    /// The open members of a zone.
    pub(super) fn zone(&self, zone: &Option<String>) -> Option<&Shelf> {
        self.zones.get(zone)
    }

    /// The open members of all zones.
    pub(super) fn everywhere(&self) -> &Shelf {
        &self.everywhere
    }

    /// The most that somebody has who can be promoted.
    pub(super) fn longest_heir(&self) -> Option<u64> {
        self.heirs.first().map(|(have, _, _)| have.0)
    }

    /// A member whose silence has lasted too long.
    pub(super) fn silent(&self, now: Instant) -> Option<Seat> {
        self.silences.first().filter(|(dies, _)| *dies <= now).map(|(_, seat)| *seat)
    }

    /// Gives a new node a seat.
    pub(super) fn join(&mut self, peer: &Peer, slots: u32, now: Instant) -> Seat {
        let member = Member::new(peer.clone(), self.joined, slots.min(MOST_SLOTS), now);
        self.joined += 1;
        let seat = self.vacant.pop().unwrap_or(self.members.len());
        if seat == self.members.len() {
            self.members.push(member);
        } else {
            self.members[seat] = member;
        }
        self.forest.plant(seat);
        self.seats.insert(peer.endpoint, seat);
        self.file(seat);
        seat
    }

    /// Takes a member's seat. Its children look for another parent by themselves.
    pub(super) fn leave(&mut self, seat: Seat) {
        self.detach(seat);
        for child in self.members[seat].children.clone() {
            self.detach(child);
        }
        self.unfile(seat);
        self.seats.remove(&self.members[seat].peer.endpoint);
        self.vacant.push(seat);
    }

    /// Changes a member.
    pub(super) fn update(&mut self, seat: Seat, change: impl FnOnce(&mut Member)) {
        self.unfile(seat);
        change(&mut self.members[seat]);
        self.file(seat);
    }

    /// Whether `seat` could hang below `parent` without closing a ring.
    ///
    /// Exact, whatever the nodes report: a parent is in `seat`'s own tree and below it exactly if
    /// that tree's root is `seat` once `seat` hangs on nothing. One without children is below
    /// nobody's parent, so the storm's newcomers never pay for the question.
    pub(super) fn may_hang(&mut self, seat: Seat, parent: Seat) -> bool {
        if seat == parent || self.members[seat].children.is_empty() {
            return seat != parent;
        }
        if self.members[seat].parent.is_none() {
            return self.forest.root(parent) != seat;
        }
        let old = self.members[seat].parent;
        self.forest.cut(seat);
        let free = self.forest.root(parent) != seat;
        if let Some(old) = old {
            self.forest.link(seat, old);
        }
        free
    }

    /// Hangs `seat` below `parent` and takes a slot there. The caller has asked
    /// [`Roster::may_hang`].
    pub(super) fn attach(&mut self, seat: Seat, parent: Seat, confirmed: bool) {
        self.detach(seat);
        let took_slot = self.members[parent].free > 0;
        let depth = self.members[parent].depth + 1;
        self.forest.link(seat, parent);
        self.update(parent, |member| {
            member.free = member.free.saturating_sub(1);
            member.children.insert(seat);
        });
        self.update(seat, |member| {
            member.role = Role::Following;
            member.parent = Some(parent);
            member.depth = depth;
            member.confirmed = confirmed;
            member.took_slot = took_slot;
        });
    }

    /// Takes `seat` from its parent, which gets its slot back.
    pub(super) fn detach(&mut self, seat: Seat) {
        let Some(parent) = self.members[seat].parent else { return };
        let took_slot = self.members[seat].took_slot;
        self.forest.cut(seat);
        self.update(parent, |member| {
            member.free += u32::from(took_slot);
            member.children.remove(&seat);
        });
        self.update(seat, |member| {
            member.parent = None;
            member.confirmed = false;
            member.took_slot = false;
        });
    }

    /// Notes how many more children a member says it takes. Children that were sent to it and have
    /// not said yet that they arrived may be unknown to it, and are taken off.
    pub(super) fn offer(&mut self, seat: Seat, slots: u32) {
        let children: Vec<_> = self.members[seat].children.iter().copied().collect();
        let mut coming = 0;
        for child in children {
            coming += u32::from(!self.members[child].confirmed);
            self.members[child].took_slot = true;
        }
        self.update(seat, |member| member.free = slots.min(MOST_SLOTS).saturating_sub(coming));
    }

    /// Whether a member keeps its last slot for its own zone. Without this the first comers from
    /// elsewhere could take all slots of a zone's first node, and the zone's second node would have
    /// to fetch from outside what lies next door.
    pub(super) fn is_reserved(&self, seat: Seat) -> bool {
        let member = &self.members[seat];
        let is_home = |child: &Seat| self.members[*child].peer.zone == member.peer.zone;
        member.free == 1 && !member.children.iter().any(is_home)
    }

    fn file(&mut self, seat: Seat) {
        let filed = self.members[seat].keys(seat);
        let member = &mut self.members[seat];
        member.filed = filed;
        self.holders += usize::from(member.role == Role::Complete);
        if let Some(place) = filed.place {
            self.everywhere.put(&place);
            let zone = &member.peer.zone;
            match self.zones.get_mut(zone) {
                Some(shelf) => shelf.put(&place),
                None => self.zones.entry(zone.clone()).or_default().put(&place),
            }
        }
        if let Some(have) = filed.heir {
            self.heirs.insert((Reverse(have), member.order, seat));
        }
        if let Some(dies) = filed.dies {
            self.silences.insert((dies, seat));
        }
    }

    fn unfile(&mut self, seat: Seat) {
        let member = &mut self.members[seat];
        let Filed { place, heir, dies } = std::mem::take(&mut member.filed);
        self.holders -= usize::from(member.role == Role::Complete);
        if let Some(place) = place {
            self.everywhere.take(&place);
            let zone = &member.peer.zone;
            if let Some(shelf) = self.zones.get_mut(zone) {
                shelf.take(&place);
                if shelf.is_empty() {
                    self.zones.remove(zone);
                }
            }
        }
        if let Some(have) = heir {
            self.heirs.remove(&(Reverse(have), member.order, seat));
        }
        if let Some(dies) = dies {
            self.silences.remove(&(dies, seat));
        }
    }
}
