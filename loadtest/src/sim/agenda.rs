//! What happens when: events in the order of virtual time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

/// Nanoseconds since the start of the simulation.
pub(super) type Nanos = u64;

/// Events to come. Those of one instant happen in the order in which they were added.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    now: Nanos,
    added: u64,
    events: BinaryHeap<Reverse<Entry<E>>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: Nanos,
    number: u64,
    event: E,
}

// === impl Agenda ===

impl<E> Agenda<E> {
    pub(super) fn new() -> Self {
        Self { now: 0, added: 0, events: BinaryHeap::new() }
    }

    pub(super) fn now(&self) -> Nanos {
        self.now
    }

    /// How many events there have been, those to come included.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// Adds an event at an instant that is not past.
    pub(super) fn at(&mut self, at: Nanos, event: E) {
        self.added += 1;
        self.events.push(Reverse(Entry { at: at.max(self.now), number: self.added, event }));
    }

    /// Adds an event some time from now.
    pub(super) fn after(&mut self, wait: Nanos, event: E) {
        self.at(self.now.saturating_add(wait), event);
    }

    /// Goes on to the next event.
    pub(super) fn next(&mut self) -> Option<E> {
        let Reverse(entry) = self.events.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

// === impl Entry ===

impl<E> Entry<E> {
    fn key(&self) -> (Nanos, u64) {
        (self.at, self.number)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_by_when_they_were_added() {
        let mut agenda = Agenda::new();
        for (wait, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            agenda.after(wait, event);
        }
        let order: Vec<_> = std::iter::from_fn(|| Some((agenda.next()?, agenda.now()))).collect();
        assert_eq!(order, [('a', 1), ('b', 1), ('c', 5), ('d', 5)]);
    }
}
