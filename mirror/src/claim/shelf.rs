//! Members with a free upload slot, in the orders that parents are looked for in.

use std::{cmp::Reverse, collections::BTreeSet};

use super::member::Seat;

/// The open members of one zone, or of the whole room.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Growing members, by when they joined.
    recent: BTreeSet<(u64, Seat)>,
    /// Growing members, by what they have; of equals the one that joined first is the best.
    ahead: BTreeSet<(u64, Reverse<u64>, Seat)>,
    /// Complete members, by how many they serve already.
    holders: BTreeSet<(usize, u64, Seat)>,
}

/// Where on a shelf a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seat: Seat,
    /// When it joined, counted in members.
    pub(super) order: u64,
    pub(super) have: u64,
    pub(super) children: usize,
    pub(super) complete: bool,
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn put(&mut self, place: &Place) {
        if place.complete {
            self.holders.insert((place.children, place.order, place.seat));
        } else {
            self.recent.insert((place.order, place.seat));
            self.ahead.insert((place.have, Reverse(place.order), place.seat));
        }
    }

    pub(super) fn take(&mut self, place: &Place) {
        if place.complete {
            self.holders.remove(&(place.children, place.order, place.seat));
        } else {
            self.recent.remove(&(place.order, place.seat));
            self.ahead.remove(&(place.have, Reverse(place.order), place.seat));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.holders.is_empty()
    }

    /// Growing members, the latest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = Seat> {
        self.recent.iter().rev().map(|(_, seat)| *seat)
    }

    /// Growing members, the earliest first.
    pub(super) fn earliest(&self) -> impl Iterator<Item = Seat> {
        self.recent.iter().map(|(_, seat)| *seat)
    }

    /// Growing members that have more than `have`, the nearest first.
    pub(super) fn past(&self, have: u64) -> impl Iterator<Item = Seat> {
        let start = (have.saturating_add(1), Reverse(u64::MAX), Seat::MIN);
        self.ahead.range(start..).map(|(_, _, seat)| *seat)
    }

    /// Growing members, the one that has most first.
    pub(super) fn longest(&self) -> impl Iterator<Item = Seat> {
        self.ahead.iter().rev().map(|(_, _, seat)| *seat)
    }

    /// Complete members that serve nobody.
    pub(super) fn idle_holders(&self) -> impl Iterator<Item = Seat> {
        self.holders.range(..(1, u64::MIN, Seat::MIN)).map(|(_, _, seat)| *seat)
    }

    /// Complete members, the least busy first.
    pub(super) fn holders(&self) -> impl Iterator<Item = Seat> {
        self.holders.iter().map(|(_, _, seat)| *seat)
    }
}
