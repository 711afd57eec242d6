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
    member::{Member, Seat},
    shelf::Shelf,
};
use crate::router::Peer;

mod edges;
mod filing;

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
    forest: Forest,
    zones: HashMap<Option<String>, Shelf>,
    /// The open members of all zones.
    everywhere: Shelf,
    /// Open members that are slow, on no shelf.
    slow: BTreeSet<Seat>,
    /// Who can be promoted, the longest prefix first.
    heirs: BTreeSet<(Reverse<u64>, u64, Seat)>,
    /// Who waits for a first parent, in the order in which they get one.
    queue: BTreeSet<(SocketAddr, Seat)>,
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

    /// Open members that are slow.
    pub(super) fn slow(&self) -> impl Iterator<Item = Seat> {
        self.slow.iter().copied()
    }

    /// The most that somebody has who can be promoted.
    pub(super) fn longest_heir(&self) -> Option<u64> {
        self.heirs.first().map(|(have, _, _)| have.0)
    }

    /// The first of those that wait for their first parent. By address, so that the chains of all blobs have
    /// one order, and neighbours follow neighbours.
    pub(super) fn next_in_queue(&self) -> Option<Seat> {
        self.queue.first().map(|(_, seat)| *seat)
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

    /// A member without a byte that was given a parent is the end of a chain from now on, however long
    /// it waited before. Else the next newcomer would be sent to the same parent, and both would get
    /// half.
    pub(super) fn come_last(&mut self, seat: Seat) {
        if self.members[seat].have == 0 {
            let order = self.joined;
            self.joined += 1;
            self.update(seat, |member| member.order = order);
        }
    }

    /// Takes a member's seat. Its children look for another parent by themselves.
    pub(super) fn leave(&mut self, seat: Seat) {
        self.detach(seat);
        for child in self.members[seat].children.clone() {
            self.detach(child);
            self.update(child, |child| child.orphan = true);
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

    /// Whether a member keeps its last slot for its own zone. Without this the first comers from
    /// elsewhere could take all slots of a zone's first node, and the zone's second node would have
    /// to fetch from outside what lies next door.
    pub(super) fn is_reserved(&self, seat: Seat) -> bool {
        let member = &self.members[seat];
        let is_home = |child: &Seat| self.members[*child].peer.zone == member.peer.zone;
        member.free == 1 && !member.children.iter().any(is_home)
    }
}
