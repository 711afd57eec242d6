//! One blob's bytes from peers, whoever of them sends.

use std::pin::pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use onepull_mirror::{
    Warm,
    warm::{Ahead, Arriving, WarmError},
};
use tokio::time::{Duration, Instant, sleep_until, timeout_at};

use super::{movement::Movement, obstacle::Obstacle};

/// How long an image waits for a node that has its bytes. Longer than a lead that died takes to be
/// replaced, and than a rollout's first node takes to begin.
pub(crate) const NO_SOURCE: Duration = Duration::from_secs(30);

/// Between the beginnings of two searches, if the first ended at once: the coordinator's own pace for
/// who waits.
const PAUSE: Duration = Duration::from_millis(500);

/// Whoever sends blobs.
#[async_trait]
pub(crate) trait Peers: Send + Sync {
    /// Streams a blob from byte `first`; returns when the first bytes are here.
    async fn stream(&self, blob: &Ahead, first: u64) -> Result<Arriving, WarmError>;
}

/// A blob on its way from peers.
pub(crate) struct Source<'a> {
    peers: &'a dyn Peers,
    blob: Ahead,
    /// The next byte to come.
    at: u64,
    /// What sends now, if anybody does.
    arriving: Option<Arriving>,
    /// How the image moves.
    movement: &'a Movement,
}

#[async_trait]
impl Peers for Warm {
    async fn stream(&self, blob: &Ahead, first: u64) -> Result<Arriving, WarmError> {
        Warm::stream(self, blob, first).await
    }
}

// === impl Source ===

impl<'a> Source<'a> {
    /// `movement` is that of all blobs of the image.
    pub(crate) fn new(peers: &'a dyn Peers, blob: Ahead, at: u64, movement: &'a Movement) -> Self {
        Self { peers, blob, at, arriving: None, movement }
    }

    /// The next byte to come.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Whether all have come.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.blob.size
    }

    /// Goes on from another byte.
    pub(crate) fn seek(&mut self, at: u64) {
        (self.at, self.arriving) = (at, None);
    }

    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// When the bytes that came are wrong, or none of the whole image came for [`NO_SOURCE`]: whoever
    /// has it from the registry may be busy with its other blobs for as long as they take. What the runtime
    /// takes to open a blob does not count.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Obstacle> {
        let (digest, movement) = (self.blob.digest, self.movement);
        let mut search = pin!(self.search());
        loop {
            let deadline = movement.deadline(NO_SOURCE, Instant::now());
            match timeout_at(deadline, &mut search).await {
                Ok(bytes) => {
                    movement.note(Instant::now());
                    return Ok(bytes?);
                }
                Err(_) if movement.deadline(NO_SOURCE, Instant::now()) > deadline => {}
                Err(_) => return Err(Obstacle::NeedsUpstream(digest)),
            }
        }
    }

    async fn search(&mut self) -> Result<Option<Bytes>, WarmError> {
        loop {
            if self.arriving.is_none() && self.is_at_end() {
                return Ok(None);
            }
            let Some(arriving) = &mut self.arriving else {
                let asked = Instant::now();
                match self.peers.stream(&self.blob, self.at).await {
                    Ok(arriving) => self.arriving = Some(arriving),
                    Err(WarmError::NoSource(_)) => sleep_until(asked + PAUSE).await,
                    Err(error) => return Err(error),
                }
                continue;
            };
            match arriving.next().await {
                Some(Ok(bytes)) => {
                    self.at += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Some(Err(error @ WarmError::Mismatch(_))) => return Err(error),
                None if self.is_at_end() => return Ok(None),
                // Whoever sent it is gone; the search begins again, with all peers.
                Some(Err(_)) | None => self.arriving = None,
            }
        }
    }
}
