//! Which members a node should stream from.
//!
//! The most recent joiner of its zone, so that copies form a chain and every uplink carries the blob
//! once. Only who is first in its zone crosses zones. Who comes back in mid-blob needs somebody
//! strictly ahead, or one of its own ancestors: all that it has came through them.

use std::net::SocketAddr;

use crate::claim::{
    MOST_PARENTS,
    member::{Role, Seat},
    roster::Roster,
    shelf::Shelf,
};

/// Most members of one kind that are looked at for one claim. The first nearly always fits: what a
/// claim can rule out are itself and the few it lost. This bound makes a claim's cost constant.
pub(super) const MOST_LOOKED_AT: usize = 16;

/// Most ancestors that are tried, from the grandparent up. Two neighbours in a chain may die
/// together, four hardly.
const MOST_ANCESTORS: usize = 4;

/// Bytes that a relay holds before it sends them on: growing blobs are served in steps of 1 MiB.
pub(super) const PIECE: u64 = 1024 * 1024;

/// How long a chain may get when nobody knows the size of the blob.
const DEPTH_OF_UNKNOWN: u64 = 64;

/// Who looks for parents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeker<'a> {
    pub(super) node: SocketAddr,
    /// Its seat, if it is a member.
    pub(super) seat: Option<Seat>,
    pub(super) zone: &'a Option<String>,
    pub(super) have: u64,
    pub(super) total: Option<u64>,
    pub(super) lost: &'a [SocketAddr],
}

/// The parents found, and how many members were looked at for them.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) parents: Vec<Seat>,
    pub(super) looked_at: usize,
}

/// Where parents are looked for, one after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// In the node's own zone.
    Zone,
    /// Everywhere, but for the last slot that a member keeps for its own zone.
    Elsewhere,
    /// Everywhere.
    Reserve,
    /// Among those that are slow: better than nobody.
    Slow,
}

// === impl Seeker ===

impl Seeker<'_> {
    /// The best open parents, best first.
    pub(super) fn find(&self, roster: &mut Roster) -> Found {
        let mut found = Found::default();
        let ancestors = self.ancestors(roster);
        for step in [Step::Zone, Step::Elsewhere, Step::Reserve, Step::Slow] {
            for seat in self.candidates(step, roster, &ancestors) {
                found.looked_at += 1;
                let is_new = !found.parents.contains(&seat);
                if is_new && self.suits(seat, &ancestors, roster) {
                    found.parents.push(seat);
                }
                if found.parents.len() == MOST_PARENTS {
                    return found;
                }
            }
        }
        found
    }

    fn candidates(&self, step: Step, roster: &Roster, ancestors: &[Seat]) -> Vec<Seat> {
        match step {
            Step::Zone => self.in_zone(roster, ancestors),
            Step::Elsewhere => Self::elsewhere(roster, ancestors),
            Step::Reserve => Self::in_reserve(roster, ancestors),
            Step::Slow => roster.slow().take(MOST_LOOKED_AT).collect(),
        }
    }

    /// The nearest ancestors with a free slot, without the parent.
    fn ancestors(&self, roster: &Roster) -> Vec<Seat> {
        let parent = self.seat.and_then(|seat| roster[seat].parent);
        let line = std::iter::successors(parent, |seat| roster[*seat].parent);
        let line = line.skip(1).take(MOST_ANCESTORS);
        let is_good = |seat: &Seat| roster[*seat].is_open() && roster[*seat].slow.is_none();
        line.filter(is_good).collect()
    }

    fn in_zone(&self, roster: &Roster, ancestors: &[Seat]) -> Vec<Seat> {
        let Some(shelf) = roster.zone(self.zone) else { return Vec::new() };
        let at_home = |seat: &Seat| roster[*seat].peer.zone == *self.zone;
        let kin = ancestors.iter().copied().filter(at_home);
        let idle = shelf.idle_holders().take(MOST_LOOKED_AT);
        let busy = shelf.holders().take(MOST_LOOKED_AT);
        idle.chain(kin).chain(self.growing(shelf, roster)).chain(busy).collect()
    }

    /// A newcomer goes to the end of the chain, or starts another where the chain is so long that a
    /// split costs less. One in mid-blob goes to whoever is just ahead.
    fn growing(&self, shelf: &Shelf, roster: &Roster) -> Vec<Seat> {
        if self.have > 0 {
            return shelf.past(self.have).take(MOST_LOOKED_AT).collect();
        }
        let is_short = |seat: Seat| roster[seat].depth < self.longest_chain();
        if shelf.latest().next().is_none_or(is_short) {
            shelf.latest().take(MOST_LOOKED_AT).collect()
        } else {
            shelf.earliest().take(MOST_LOOKED_AT).collect()
        }
    }

    /// A chain of `d` nodes ends `d` pieces after its head, a split halves the rate below it. So a
    /// chain longer than the blob has pieces is worse than two.
    fn longest_chain(&self) -> u64 {
        self.total.map_or(DEPTH_OF_UNKNOWN, |total| total.div_ceil(PIECE).max(1))
    }

    fn elsewhere(roster: &Roster, ancestors: &[Seat]) -> Vec<Seat> {
        let shelf = roster.everywhere();
        let idle = shelf.idle_holders().take(MOST_LOOKED_AT);
        let most = shelf.longest().take(MOST_LOOKED_AT);
        let busy = shelf.holders().take(MOST_LOOKED_AT);
        let all = ancestors.iter().copied().chain(idle).chain(most).chain(busy);
        all.filter(|seat| !roster.is_reserved(*seat)).collect()
    }

    /// What is left when only last slots are.
    fn in_reserve(roster: &Roster, ancestors: &[Seat]) -> Vec<Seat> {
        let shelf = roster.everywhere();
        let most = shelf.longest().take(MOST_LOOKED_AT);
        let holders = shelf.holders().take(MOST_LOOKED_AT);
        ancestors.iter().copied().chain(most).chain(holders).collect()
    }

    fn suits(&self, parent: Seat, ancestors: &[Seat], roster: &mut Roster) -> bool {
        let member = &roster[parent];
        let endpoint = member.peer.endpoint;
        if endpoint == self.node || self.lost.contains(&endpoint) {
            return false;
        }
        let complete = member.role == Role::Complete;
        let ahead = self.have == 0 || member.have > self.have;
        if ancestors.contains(&parent) || complete {
            return true;
        }
        ahead && self.seat.is_none_or(|seat| roster.may_hang(seat, parent))
    }
}
