//! The inventory while it is being listed.
//!
//! A listing takes time and events arrive meanwhile. Applied as it is, it would take back what
//! events have just said. So changes that happen during a listing are noted, and win over it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use onepull_mirror::{
    Digest,
    store::{Inventory, Presence, Watch},
};
use tokio::sync::watch;

/// The blobs of containerd, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    inventory: Arc<Inventory>,
    noted: Mutex<Noted>,
}

/// What changed since a listing began: the blob's size, or `None` when it went.
///
/// As many entries as containerd completes or deletes blobs within one listing, whose time is
/// bounded; cleared when it ends.
type Noted = Option<BTreeMap<Digest, Option<u64>>>;

// === impl Holdings ===

impl Holdings {
    /// The size of a complete blob, in bytes.
    pub(super) fn size(&self, digest: &Digest) -> Option<u64> {
        self.inventory.size(digest)
    }

    /// How much of a blob is here, as far as that is known.
    pub(super) fn presence(&self, digest: &Digest) -> Option<Presence> {
        self.inventory.presence(digest)
    }

    /// Where growth is told and found.
    pub(super) fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// A blob is complete.
    pub(super) fn add(&self, digest: Digest, size: u64) {
        let mut noted = self.lock();
        if let Some(noted) = noted.as_mut() {
            noted.insert(digest, Some(size));
        }
        self.inventory.add(digest, size);
    }

    /// A blob is gone.
    pub(super) fn remove(&self, digest: Digest) {
        let mut noted = self.lock();
        if let Some(noted) = noted.as_mut() {
            noted.insert(digest, None);
        }
        self.inventory.remove(&digest);
    }

    /// A listing begins. One that began before and never ended is forgotten.
    pub(super) fn begin_listing(&self) {
        *self.lock() = Some(BTreeMap::new());
    }

    /// The listing ended with `listed`; what changed during it wins.
    pub(super) fn end_listing(&self, mut listed: BTreeMap<Digest, u64>) {
        let mut noted = self.lock();
        for (digest, size) in noted.take().into_iter().flatten() {
            match size {
                Some(size) => listed.insert(digest, size),
                None => listed.remove(&digest),
            };
        }
        self.inventory.reconcile(&listed);
    }

    /// The content now and the changes after it.
    pub(super) fn watch(&self) -> Watch {
        self.inventory.watch()
    }

    /// What is known of one blob, now and from now on.
    pub(super) fn follow(&self, digest: &Digest) -> watch::Receiver<Option<Presence>> {
        self.inventory.follow(digest)
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        // Every critical section leaves the notes whole, even if a panic poisoned the lock.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_during_a_listing_wins_over_it() {
        let [kept, came, went] = [b"a", b"b", b"c"].map(|bytes| Digest::sha256(bytes));
        let holdings = Holdings::default();
        holdings.begin_listing();
        holdings.add(came, 2);
        holdings.remove(went);
        holdings.end_listing(BTreeMap::from([(kept, 1), (went, 3)]));
        assert_eq!(holdings.watch().snapshot, BTreeMap::from([(kept, 1), (came, 2)]));
    }

    #[test]
    fn a_change_before_a_listing_does_not() {
        let [missed, stale] = [b"a", b"b"].map(|bytes| Digest::sha256(bytes));
        let holdings = Holdings::default();
        holdings.add(stale, 1);
        holdings.begin_listing();
        holdings.end_listing(BTreeMap::from([(missed, 2)]));
        assert_eq!(holdings.watch().snapshot, BTreeMap::from([(missed, 2)]));
        assert_eq!(holdings.size(&stale), None);
    }
}
