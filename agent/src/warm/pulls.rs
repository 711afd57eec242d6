//! The runtime's own pulls: hearing of them, and leaving a blob to them.

use onepull_mirror::{Digest, Store, store::Presence};
use tokio::{
    sync::{broadcast, watch},
    time::{Duration, Instant, sleep},
};

use super::plan::Plan;

/// How long what was left to the runtime may not grow until the warmer takes it up again. A pull
/// waits for tokens, slots and its own retries, which back off to some 10 s.
const NO_GROWTH: Duration = Duration::from_secs(30);

/// Between two looks at what was left to the runtime.
const LOOK: Duration = Duration::from_millis(500);

/// Hears of pulls that begin.
pub(crate) struct Pulls(broadcast::Receiver<Digest>);

/// Blobs that were left to the runtime.
pub(crate) struct Left {
    blobs: Vec<watch::Receiver<Option<Presence>>>,
    bytes: u64,
    grew: Instant,
}

// === impl Pulls ===

impl Pulls {
    pub(crate) fn new(asked: broadcast::Receiver<Digest>) -> Self {
        Self(asked)
    }

    /// Forgets those that have begun already.
    pub(crate) fn forget(&mut self) {
        self.0 = self.0.resubscribe();
    }

    /// Resolves when a pull of the image has begun.
    ///
    /// # Cancel safety
    /// A pull that was not returned is heard by the next call.
    pub(crate) async fn begins(&mut self, plan: &Plan) {
        loop {
            match self.0.recv().await {
                Ok(manifest) if plan.is_named(&manifest) => return,
                Ok(_) => {}
                // So many pulls at once that this one may be among them.
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

// === impl Left ===

impl Left {
    pub(crate) fn new(store: &dyn Store, blobs: impl IntoIterator<Item = Digest>) -> Self {
        let blobs = blobs.into_iter().map(|digest| store.follow(&digest)).collect();
        Self { blobs, bytes: 0, grew: Instant::now() }
    }

    /// Waits until all is complete; `false` when nothing grew for [`NO_GROWTH`].
    pub(crate) async fn completes(&mut self) -> bool {
        while self.looks_alive(Instant::now()) {
            if self.is_complete() {
                return true;
            }
            sleep(LOOK).await;
        }
        self.is_complete()
    }

    /// Waits until the next look, or less when all is complete; `false` when nothing grew for
    /// [`NO_GROWTH`].
    pub(crate) async fn moves(&mut self) -> bool {
        sleep(LOOK).await;
        self.looks_alive(Instant::now())
    }

    fn is_complete(&self) -> bool {
        self.blobs.iter().all(|blob| blob.borrow().is_some_and(Presence::is_complete))
    }

    fn looks_alive(&mut self, now: Instant) -> bool {
        let bytes = self.blobs.iter().map(|blob| have(*blob.borrow())).sum();
        if bytes != std::mem::replace(&mut self.bytes, bytes) {
            self.grew = now;
        }
        now < self.grew + NO_GROWTH
    }
}

/// How much of a blob is here.
pub(crate) fn have(presence: Option<Presence>) -> u64 {
    match presence {
        Some(Presence::Growing { have, .. }) => have,
        Some(Presence::Complete { size }) => size,
        None => 0,
    }
}
