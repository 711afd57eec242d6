//! What a store knows to be complete, kept in memory, with everyone who follows it told of changes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::stream;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{StoreEvent, Watch};
use crate::Digest;

/// Events a watcher may lag behind before it has to resync. A pull adds tens of blobs and a garbage
/// collection removes hundreds, so only a watcher that stands still loses any.
const EVENTS_KEPT: usize = 4096;

/// The complete blobs of a store: one owner of the list, any number of watchers.
///
/// Changes and snapshots are ordered by one lock, so a watcher sees every change after its snapshot
/// exactly once.
#[derive(Debug)]
pub struct Inventory {
    blobs: Mutex<BTreeMap<Digest, u64>>,
    events: broadcast::Sender<StoreEvent>,
}

impl Inventory {
    /// An empty inventory.
    pub fn new() -> Self {
        Self { blobs: Mutex::default(), events: broadcast::channel(EVENTS_KEPT).0 }
    }

    /// The size of a complete blob, in bytes.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        self.lock().get(digest).copied()
    }

    /// Records a complete blob; tells the watchers when it is new. Returns whether it was.
    pub fn add(&self, digest: Digest, size: u64) -> bool {
        let mut blobs = self.lock();
        let new = blobs.insert(digest, size).is_none();
        if new {
            self.tell(StoreEvent::Added { digest, size });
        }
        new
    }

    /// Forgets a blob; tells the watchers when it was known. Returns whether it was.
    pub fn remove(&self, digest: &Digest) -> bool {
        let mut blobs = self.lock();
        let known = blobs.remove(digest).is_some();
        if known {
            self.tell(StoreEvent::Removed { digest: *digest });
        }
        known
    }

    /// Brings the inventory to `truth`; watchers are told the differences only.
    pub fn reconcile(&self, truth: &BTreeMap<Digest, u64>) {
        let gone: Vec<_> =
            self.lock().keys().filter(|digest| !truth.contains_key(digest)).copied().collect();
        for digest in gone {
            self.remove(&digest);
        }
        for (digest, size) in truth {
            self.add(*digest, *size);
        }
    }

    /// The content now and the changes after it.
    pub fn watch(&self) -> Watch {
        let blobs = self.lock();
        let events = stream::unfold(self.events.subscribe(), |mut receiver| async {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(RecvError::Lagged(_)) => Some((StoreEvent::Resync, receiver)),
                Err(RecvError::Closed) => None,
            }
        });
        Watch { snapshot: blobs.clone(), events: Box::pin(events) }
    }

    fn tell(&self, event: StoreEvent) {
        // Without watchers there is nobody to tell.
        let _ = self.events.send(event);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, u64>> {
        // Every critical section leaves the map whole, even if a panic poisoned the lock.
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}
