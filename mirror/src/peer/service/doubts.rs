//! Copies that others doubt: a node that was sent wrong bytes says so, and the copy is read again.
//!
//! What a disk changed after it was written fails the pull of each node that streams from here, and of all
//! behind them. They know whom they had the bytes from, and the next one does not. So a copy that is
//! not that of its digest is refused here, where all of them come by (ADR 31).

use std::{io, sync::Arc};

use futures::StreamExt;
use tokio::{
    sync::Semaphore,
    time::{Duration, Instant, timeout},
};
use tracing::{debug, warn};

use crate::{
    Digest, Store,
    digest::Verifier,
    metrics::Metrics,
    participant::Participant,
    recent::Recent,
    store::{Presence, STALL, StoreError},
};

/// How soon a copy is read again, at least: a crowd of doubts, true or not, costs one reading.
const AGAIN: Duration = Duration::from_secs(600);

/// How long a copy is damaged unless a reading shows that it was mended, and of how many that is
/// remembered. After that it is served, and doubted, again.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
const COPIES: usize = 4096;

/// Reads doubted copies again, one at a time.
pub(super) struct Doubts {
    store: Arc<dyn Store>,
    participant: Arc<Participant>,
    metrics: Metrics,
    /// Whether a copy was damaged when it was read, and when.
    read: Recent<Digest, Reading>,
    one: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    damaged: bool,
    at: Instant,
}

// === impl Doubts ===

impl Doubts {
    pub(super) fn new(
        store: Arc<dyn Store>,
        participant: Arc<Participant>,
        metrics: Metrics,
    ) -> Arc<Self> {
        let one = Arc::new(Semaphore::new(1));
        Arc::new(Self { store, participant, metrics, read: Recent::new(REMEMBERED, COPIES), one })
    }

    /// Somebody was sent wrong bytes, by this node among others perhaps. While another copy is read this is
    /// forgotten: who is sent wrong bytes next will say so too.
    pub(super) fn raise(self: &Arc<Self>, digest: Digest) {
        let now = Instant::now();
        let is_fresh = self.read.get(&digest, now).is_some_and(|reading| now < reading.at + AGAIN);
        let turn = Arc::clone(&self.one).try_acquire_owned();
        let (false, Ok(turn)) = (is_fresh, turn) else { return };
        let doubts = Arc::clone(self);
        self.participant.run(async move {
            doubts.read_again(digest).await;
            drop(turn);
        });
    }

    /// Whether the copy was damaged when it was read. It is looked at again at times, since it may have
    /// been mended.
    pub(super) fn is_damaged(self: &Arc<Self>, digest: &Digest) -> bool {
        let reading = self.read.get(digest, Instant::now());
        let is_damaged = reading.is_some_and(|reading| reading.damaged);
        if is_damaged {
            self.raise(*digest);
        }
        is_damaged
    }

    /// The copy is gone, as far as its store can tell, and one that comes is another: the next doubt has it read.
    pub(super) fn forget(&self, digest: &Digest) {
        let now = Instant::now();
        if self.read.get(digest, now).is_some_and(|reading| reading.damaged) {
            let at = now.checked_sub(AGAIN).unwrap_or(now);
            self.read.insert(*digest, Reading { damaged: false, at }, now);
        }
    }

    async fn read_again(&self, digest: Digest) {
        let damaged = match self.matches(&digest).await {
            Ok(Some(matches)) => !matches,
            Ok(None) => return,
            // Nobody is served from it either, as far as it cannot be read.
            Err(error) => {
                debug!(%digest, %error, "a doubted copy cannot be read");
                false
            }
        };
        debug!(%digest, damaged, "read a doubted copy again");
        if damaged {
            warn!(
                %digest,
                "this node's copy is damaged and is served to no other node; \
                 remove it from the runtime's store, and check the disk"
            );
            self.metrics.damaged.inc();
            self.participant.send_away(&digest);
        }
        let at = Instant::now();
        self.read.insert(digest, Reading { damaged, at }, at);
    }

    /// Whether a complete copy has the bytes of its digest; `None` when there is none.
    async fn matches(&self, digest: &Digest) -> Result<Option<bool>, StoreError> {
        if !self.store.stat(digest).await?.is_some_and(Presence::is_complete) {
            return Ok(None);
        }
        let (mut bytes, mut check) = (self.store.open(digest, 0).await?, Verifier::new(*digest));
        let failed = |source| StoreError::Io { digest: *digest, source };
        let late = |_| failed(io::ErrorKind::TimedOut.into());
        while let Some(piece) = timeout(STALL, bytes.next()).await.map_err(late)? {
            check.update(&piece.map_err(failed)?);
        }
        Ok(Some(check.matches()))
    }
}
