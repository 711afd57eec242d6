//! What a store knows to be complete or growing, kept in memory, with everyone who follows it told of
//! changes.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::stream;
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    time::Instant,
};

use super::{
    Presence, StoreEvent, Watch,
    followers::Followers,
    growth::{Growing, Growth, Ingests},
};
use crate::Digest;

/// Events a watcher may lag behind before it has to resync. A pull adds tens of blobs and a garbage
/// collection removes hundreds, so only a watcher that stands still loses any.
const EVENTS_KEPT: usize = 4096;

/// The blobs of a store: one owner of the list, any number of watchers.
///
/// Changes and snapshots are ordered by one lock, so a watcher sees every change after its snapshot
/// exactly once.
#[derive(Debug)]
pub struct Inventory {
    state: Mutex<State>,
    events: broadcast::Sender<StoreEvent>,
}

#[derive(Debug, Default)]
struct State {
    complete: BTreeMap<Digest, u64>,
    ingests: Ingests,
    followers: Followers,
}

/// One attempt at writing a blob, from its first byte on. Dropping it before the blob is complete
/// says that the attempt is lost.
#[derive(Debug)]
pub struct Ingest {
    digest: Digest,
    number: u64,
    inventory: Arc<Inventory>,
}

// === impl Inventory ===

impl Inventory {
    /// An empty inventory.
    pub fn new() -> Self {
        Self { state: Mutex::default(), events: broadcast::channel(EVENTS_KEPT).0 }
    }

    /// The size of a complete blob, in bytes.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        self.lock().complete.get(digest).copied()
    }

    /// How much of a blob is here. One that does not grow yet is not.
    pub fn presence(&self, digest: &Digest) -> Option<Presence> {
        self.lock().presence(digest)
    }

    /// Records a complete blob; tells the watchers when it is new. Returns whether it was.
    ///
    /// An ingest of it ends well.
    pub fn add(&self, digest: Digest, size: u64) -> bool {
        let mut state = self.lock();
        let new = state.complete.insert(digest, size).is_none();
        state.ingests.end(&digest, Growth::Complete { size });
        state.tell(&digest);
        if new {
            self.tell(StoreEvent::Added { digest, size });
        }
        new
    }

    /// Forgets a complete blob; tells the watchers when it was known. Returns whether it was.
    pub fn remove(&self, digest: &Digest) -> bool {
        let mut state = self.lock();
        let known = state.complete.remove(digest).is_some();
        if known {
            state.tell(digest);
            self.tell(StoreEvent::Removed { digest: *digest });
        }
        known
    }

    /// An ingest begins, its bytes going to `path`. One of the same digest that has not ended is
    /// lost: the newer one is the one that somebody waits for.
    #[must_use]
    pub fn begin(self: &Arc<Self>, digest: Digest, path: PathBuf) -> Ingest {
        let mut state = self.lock();
        let number = state.ingests.begin(digest, path);
        state.tell(&digest);
        Ingest { digest, number, inventory: Arc::clone(self) }
    }

    /// The blob's ingest, if there is one that has been seen to grow.
    pub fn growing(&self, digest: &Digest) -> Option<Growing> {
        self.lock().ingests.get(digest)
    }

    /// Gives up the blob's ingest, if there is one: its writer and its readers are told.
    pub fn abort(&self, digest: &Digest) {
        let mut state = self.lock();
        state.ingests.end(digest, Growth::Lost);
        state.tell(digest);
    }

    /// What is here of a blob, now and from now on. Nobody misses the last state; growth in between
    /// may be skipped.
    pub fn follow(&self, digest: &Digest) -> watch::Receiver<Option<Presence>> {
        let mut state = self.lock();
        let now = state.presence(digest);
        state.followers.follow(*digest, now)
    }

    /// Brings the inventory to `truth`; watchers are told the differences only.
    pub fn reconcile(&self, truth: &BTreeMap<Digest, u64>) {
        let gone: Vec<_> = self
            .lock()
            .complete
            .keys()
            .filter(|digest| !truth.contains_key(digest))
            .copied()
            .collect();
        for digest in gone {
            self.remove(&digest);
        }
        for (digest, size) in truth {
            self.add(*digest, *size);
        }
    }

    /// The content now and the changes after it.
    pub fn watch(&self) -> Watch {
        let state = self.lock();
        let events = stream::unfold(self.events.subscribe(), |mut receiver| async {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(RecvError::Lagged(_)) => Some((StoreEvent::Resync, receiver)),
                Err(RecvError::Closed) => None,
            }
        });
        Watch { snapshot: state.complete.clone(), events: Box::pin(events) }
    }

    fn tell(&self, event: StoreEvent) {
        // Without watchers there is nobody to tell.
        let _ = self.events.send(event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole, even if a panic poisoned the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}

// === impl State ===

impl State {
    fn presence(&self, digest: &Digest) -> Option<Presence> {
        match self.complete.get(digest) {
            Some(size) => Some(Presence::Complete { size: *size }),
            None => self.ingests.presence(digest),
        }
    }

    fn tell(&mut self, digest: &Digest) {
        let now = self.presence(digest);
        self.followers.tell(digest, now);
    }
}

// === impl Ingest ===

impl Ingest {
    /// The first `have` bytes can be read now, which are never less than before; `total` once it is
    /// known. Returns whether the attempt still counts: it may have been aborted, or another one of
    /// the same blob may have begun.
    #[must_use]
    pub fn grew(&self, have: u64, total: Option<u64>) -> bool {
        let mut state = self.inventory.lock();
        let counts = state.ingests.is_current(&self.digest, self.number);
        if counts {
            state.ingests.grew(&self.digest, have, total, Instant::now());
            state.tell(&self.digest);
        }
        counts
    }

    /// Whether the attempt still counts.
    pub fn is_current(&self) -> bool {
        self.inventory.lock().ingests.is_current(&self.digest, self.number)
    }

    /// The blob is complete.
    pub fn completed(self, size: u64) {
        self.inventory.add(self.digest, size);
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let mut state = self.inventory.lock();
        if state.ingests.is_current(&self.digest, self.number) {
            state.ingests.end(&self.digest, Growth::Lost);
            state.tell(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: fn() -> Digest = || Digest::sha256(b"one");

    fn begin(inventory: &Arc<Inventory>) -> Ingest {
        inventory.begin(DIGEST(), "data".into())
    }

    #[test]
    fn a_follower_sees_a_blob_grow_complete_and_go() {
        let inventory = Arc::new(Inventory::new());
        let follower = inventory.follow(&DIGEST());
        let seen = || *follower.borrow();
        assert_eq!(seen(), None);
        let ingest = begin(&inventory);
        assert_eq!(seen(), None, "an empty ingest proves no download");
        assert!(ingest.grew(3, Some(5)));
        assert_eq!(seen(), Some(Presence::Growing { have: 3, total: Some(5) }));
        ingest.completed(5);
        assert_eq!(seen(), Some(Presence::Complete { size: 5 }));
        assert_eq!(*inventory.follow(&DIGEST()).borrow(), Some(Presence::Complete { size: 5 }));
        inventory.remove(&DIGEST());
        assert_eq!(seen(), None);
    }

    #[test]
    fn an_ingest_that_is_dropped_is_lost() {
        let inventory = Arc::new(Inventory::new());
        let ingest = begin(&inventory);
        assert!(ingest.grew(3, None));
        let follower = inventory.follow(&DIGEST());
        drop(ingest);
        assert_eq!(*follower.borrow(), None);
        assert!(inventory.growing(&DIGEST()).is_none());
    }

    #[test]
    fn a_second_ingest_takes_over_and_the_first_takes_nothing_back() {
        let inventory = Arc::new(Inventory::new());
        let first = begin(&inventory);
        assert!(first.grew(9, None));
        let second = begin(&inventory);
        assert_eq!(inventory.presence(&DIGEST()), None);
        assert!(!first.grew(10, None));
        assert!(second.grew(1, None));
        drop(first);
        let presence = Some(Presence::Growing { have: 1, total: None });
        assert_eq!(inventory.presence(&DIGEST()), presence);
    }

    #[test]
    fn watchers_are_told_of_complete_blobs_only() {
        let inventory = Arc::new(Inventory::new());
        let mut events = inventory.watch().events;
        let ingest = begin(&inventory);
        assert!(ingest.grew(5, None));
        ingest.completed(5);
        drop(begin(&inventory));
        drop(inventory);
        let told = futures::executor::block_on(async {
            use futures::StreamExt;
            let mut told = Vec::new();
            while let Some(event) = events.next().await {
                told.push(event);
            }
            told
        });
        assert_eq!(told, [StoreEvent::Added { digest: DIGEST(), size: 5 }]);
    }
}
