//! Streams that gave their slot back, until the runtime has another for them (ADR 8).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Duration;
use tokio_util::task::AbortOnDropHandle;

use super::stalled::Passage;
use crate::Digest;

/// How long a runtime may take to come back. It asks again as soon as it has a slot, and those who
/// have slots meanwhile give them back as well, or move.
pub(super) const BACK: Duration = Duration::from_secs(5);

/// Streams set aside at a time: more than there are slots. Each keeps its parent's upload slot.
const MOST: usize = 16;

/// The streams that are set aside.
#[derive(Debug, Default)]
pub(super) struct Aside(Mutex<HashMap<Digest, Waiting>>);

#[derive(Debug)]
struct Waiting {
    passage: Box<Passage>,
    _expiry: AbortOnDropHandle<()>,
}

// === impl Aside ===

impl Aside {
    /// Whether there is a place for one more.
    pub(super) fn has_room(&self) -> bool {
        self.lock().len() < MOST
    }

    /// Sets a stream aside until `expiry` removes it.
    pub(super) fn insert(&self, passage: Box<Passage>, expiry: AbortOnDropHandle<()>) {
        let digest = passage.digest();
        let before = self.lock().insert(digest, Waiting { passage, _expiry: expiry });
        // Its end takes other locks.
        drop(before);
    }

    /// Takes the stream of a blob up again.
    pub(super) fn remove(&self, digest: &Digest) -> Option<Box<Passage>> {
        let waiting = self.lock().remove(digest);
        waiting.map(|waiting| waiting.passage)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Waiting>> {
        // Single insertions and removals.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
