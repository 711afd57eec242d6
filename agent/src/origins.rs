//! Where the bytes of complete blobs came from, kept until the image that they belong to asks.
//!
//! A blob may be complete before it is known which image it is of: its manifest comes first, but is
//! looked at later. Each blob is counted once, for the first image that asks, so that what images share
//! is not counted twice.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use onepull_mirror::Digest;

/// Blobs remembered: those of 100 large images, about 500 kB.
const REMEMBERED: usize = 4096;

/// Notes of blobs that became complete. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<Mutex<Notes>>);

/// Where the bytes of one blob came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Those that did not come through this agent: from the registry, by all that is known.
    pub upstream: u64,
    /// Those that the mirror handed over, or that were written ahead of a pull.
    pub peers: u64,
}

/// A moment between two notes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

#[derive(Debug, Default)]
struct Notes {
    next: Mark,
    blobs: HashMap<Digest, (Mark, Origin)>,
    /// Oldest first, with those that were taken.
    order: VecDeque<(Mark, Digest)>,
}

// === impl Origins ===

impl Origins {
    /// The blob became complete.
    pub fn note(&self, digest: Digest, origin: Origin) {
        let mut notes = self.lock();
        let mark = notes.next;
        notes.next = Mark(mark.0 + 1);
        if notes.order.len() >= REMEMBERED
            && let Some((oldest, digest)) = notes.order.pop_front()
            && notes.blobs.get(&digest).is_some_and(|(mark, _)| *mark == oldest)
        {
            notes.blobs.remove(&digest);
        }
        notes.order.push_back((mark, digest));
        notes.blobs.insert(digest, (mark, origin));
    }

    /// Now: what is noted from here on can be told from what was before.
    pub fn mark(&self) -> Mark {
        self.lock().next
    }

    /// Where the blob's bytes came from, if it became complete since `since` and nobody took that.
    pub fn take(&self, digest: &Digest, since: Mark) -> Option<Origin> {
        let mut notes = self.lock();
        match notes.blobs.get(digest) {
            Some((mark, _)) if *mark >= since => notes.blobs.remove(digest).map(|(_, it)| it),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        // Every critical section leaves the notes usable, even if a panic poisoned the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(upstream: u64) -> Origin {
        Origin { upstream, peers: 0 }
    }

    fn digest(number: usize) -> Digest {
        Digest::sha256(&number.to_be_bytes())
    }

    #[test]
    fn a_blob_is_counted_once_and_for_those_who_waited_for_it() {
        let origins = Origins::default();
        origins.note(digest(1), origin(1));
        let since = origins.mark();
        origins.note(digest(2), origin(2));
        assert_eq!(origins.take(&digest(1), since), None, "it was there before");
        assert_eq!(origins.take(&digest(2), since), Some(origin(2)));
        assert_eq!(origins.take(&digest(2), since), None, "it was taken");
        assert_eq!(origins.take(&digest(1), Mark::default()), Some(origin(1)));
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten() {
        let origins = Origins::default();
        for number in [0, 1].into_iter().chain(2..=REMEMBERED) {
            origins.note(digest(number), origin(1));
        }
        let all = Mark::default();
        assert_eq!(
            [0, 1].map(|number| origins.take(&digest(number), all)),
            [None, Some(origin(1))]
        );
        assert_eq!(origins.lock().order.len(), REMEMBERED);
    }
}
