//! One blob's bytes from peers, whoever of them sends.

use bytes::Bytes;
use futures::StreamExt;
use onepull_mirror::{
    Warm,
    warm::{Ahead, Arriving, WarmError},
};
use tokio::time::{Duration, Instant, sleep, timeout_at};

use super::obstacle::Obstacle;

/// How long an image waits for a node that has its bytes. Longer than a lead that died takes to be
/// replaced, and than a rollout's first node takes to begin.
pub(crate) const NO_SOURCE: Duration = Duration::from_secs(30);

/// Between two searches of which the first ended at once: the coordinator's own pace for who waits.
const PAUSE: Duration = Duration::from_millis(500);

/// A blob on its way from peers.
pub(crate) struct Source<'a> {
    warm: &'a Warm,
    blob: Ahead,
    /// The next byte to come.
    at: u64,
    /// What sends now, if anybody does.
    arriving: Option<Arriving>,
    /// When a byte came last.
    moved: Instant,
}

// === impl Source ===

impl<'a> Source<'a> {
    pub(crate) fn new(warm: &'a Warm, blob: Ahead, at: u64) -> Self {
        Self { warm, blob, at, arriving: None, moved: Instant::now() }
    }

    /// The next byte to come.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on from another byte.
    pub(crate) fn seek(&mut self, at: u64) {
        (self.at, self.arriving) = (at, None);
    }

    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// When the bytes that came are wrong, or none came for [`NO_SOURCE`].
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Obstacle> {
        let deadline = self.moved + NO_SOURCE;
        let digest = self.blob.digest;
        let bytes = timeout_at(deadline, self.search()).await;
        let bytes = bytes.map_err(|_| Obstacle::NeedsUpstream(digest))??;
        self.moved = Instant::now();
        Ok(bytes)
    }

    async fn search(&mut self) -> Result<Option<Bytes>, WarmError> {
        loop {
            if self.arriving.is_none() && self.at >= self.blob.size {
                return Ok(None);
            }
            let Some(arriving) = &mut self.arriving else {
                match self.warm.stream(&self.blob, self.at).await {
                    Ok(arriving) => self.arriving = Some(arriving),
                    Err(WarmError::NoSource(_)) => sleep(PAUSE).await,
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
                None if self.at >= self.blob.size => return Ok(None),
                // Whoever sent it is gone; the search begins again, with all peers.
                Some(Err(_)) | None => self.arriving = None,
            }
        }
    }
}
