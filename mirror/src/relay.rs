//! Blobs on their way through this node, for those who follow it.
//!
//! A runtime writes what it receives in steps of 1 MiB and more, and each node of a chain would wait
//! for its parent's step. So what passes through the mirror is kept in memory for a moment, and
//! followers are served from there; whoever is further behind reads what the runtime has written.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, timeout},
};

use crate::{
    Digest, Store,
    store::{Notices, Opened, Presence, STALL, StoreError, copied},
};

mod reading;
mod window;

use reading::Reading;
use window::Window;

/// Windows in memory at a time, 2 MiB each: three downloads of each of two pulls, and two that are
/// still read after they ended. A blob that finds none free is passed on from the store.
const WINDOWS: usize = 8;

/// Bytes kept for readers: a runtime's step of 1 MiB, and what is in the buffers of its connection
/// meanwhile.
const WIDTH: u64 = 2 * 1024 * 1024;

/// What passes through this node, before and beside what its store holds.
pub(crate) struct Relay {
    store: Arc<dyn Store>,
    passing: Mutex<HashMap<Digest, watch::Sender<Window>>>,
    begun: Notify,
    free: Arc<Semaphore>,
}

/// One blob that passes. Its followers go on from the store when this is dropped.
pub(crate) struct Passing {
    relay: Arc<Relay>,
    digest: Digest,
    window: watch::Sender<Window>,
    notices: Notices,
}

// === impl Relay ===

impl Relay {
    /// Passes on what `store` does not have yet.
    pub(crate) fn new(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            store,
            passing: Mutex::default(),
            begun: Notify::new(),
            free: Arc::new(Semaphore::new(WINDOWS)),
        })
    }

    /// A blob of `total` bytes begins to pass, from byte `at` on. `None` when it passes already, too
    /// many others do, or the store lacks what is before it.
    pub(crate) fn begin(self: &Arc<Self>, digest: Digest, at: u64, total: u64) -> Option<Passing> {
        if at > self.stored(&digest) {
            return None;
        }
        let mut passing = self.passing();
        if passing.contains_key(&digest) {
            return None;
        }
        let space = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let window = watch::Sender::new(Window::new(at, total, space));
        passing.insert(digest, window.clone());
        drop(passing);
        self.begun.notify_waiters();
        Some(Passing { relay: Arc::clone(self), digest, window, notices: Notices::default() })
    }

    /// How much has passed of a blob that passes now.
    pub(crate) fn presence(&self, digest: &Digest) -> Option<Presence> {
        let window = self.window(digest)?;
        window.borrow().presence()
    }

    /// Resolves when byte `first` of a blob has passed, with the blob's size.
    pub(crate) async fn passes(&self, digest: &Digest, first: u64) -> u64 {
        loop {
            let begun = self.begun.notified();
            if let Some(mut window) = self.window(digest) {
                let ahead = window.wait_for(|window| window.is_ahead_of(first)).await;
                if let Ok(window) = ahead {
                    return window.total();
                }
                continue;
            }
            begun.await;
        }
    }

    /// Streams a blob from byte `offset` to its end, as [`Store::open`] does.
    ///
    /// # Errors
    /// Those of the store, when the blob does not pass.
    pub(crate) async fn open(
        self: &Arc<Self>,
        digest: &Digest,
        offset: u64,
    ) -> Result<Opened, StoreError> {
        match self.window(digest) {
            Some(window) => {
                Ok(Reading::new(Arc::clone(self), *digest, offset, window).into_stream().into())
            }
            None => self.store.open(digest, offset).await,
        }
    }

    /// A blob that has begun to pass is about to be in the store.
    async fn open_stored(&self, digest: &Digest, offset: u64) -> Result<Opened, StoreError> {
        let mut presence = self.store.follow(digest);
        let _ = timeout(STALL, presence.wait_for(Option::is_some)).await;
        self.store.open(digest, offset).await
    }

    fn stored(&self, digest: &Digest) -> u64 {
        match *self.store.follow(digest).borrow() {
            Some(Presence::Growing { have, .. }) => have,
            Some(Presence::Complete { size }) => size,
            None => 0,
        }
    }

    fn window(&self, digest: &Digest) -> Option<watch::Receiver<Window>> {
        self.passing().get(digest).map(watch::Sender::subscribe)
    }

    fn passing(&self) -> MutexGuard<'_, HashMap<Digest, watch::Sender<Window>>> {
        // Single insertions and removals: the map is whole whatever panicked.
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Passing ===

impl Passing {
    /// The next bytes have passed. They are kept if anybody reads here now, or may find nothing in the
    /// store yet; as a copy, so that who receives them has its memory back for the next ones.
    pub(crate) fn push(&mut self, bytes: &Bytes, now: Instant) {
        let (notices, is_read) = (&mut self.notices, self.window.receiver_count() > 0);
        self.window.send_if_modified(|window| {
            if is_read || window.end() <= WIDTH {
                window.push(copied(bytes), WIDTH);
            } else {
                window.skip(bytes.len());
            }
            notices.due(window.end(), Some(window.total()), now)
        });
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.relay.passing().remove(&self.digest);
        self.window.send_modify(Window::close);
    }
}

#[cfg(test)]
mod tests;
