//! Fetching ahead of any pull, by the same engine that serves the pulls.
//!
//! A warmer takes from peers what it will write into the runtime's store itself. It never leads, as
//! it has no way to the registry: while nobody has the bytes it waits for somebody who gets them.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use thiserror::Error;
use tokio::{
    sync::{broadcast, mpsc},
    time::{Duration, Instant, timeout, timeout_at},
};

use crate::{
    Digest,
    declared::Declared,
    fetch::{FetchError, Want},
    manifest::LARGEST_MANIFEST,
    mirror::{Delivery, Inner},
    sink::PIECE,
};

/// How long bytes wait for more. Those who follow this node have them from its window meanwhile.
const WITHIN: Duration = Duration::from_millis(200);

/// The mirror's way to peers, for those who write into the runtime's store. Clones share everything.
#[derive(Clone)]
pub struct Warm(Arc<Inner>);

/// A blob that is wanted ahead of any pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, as its manifest says; a peer that says another is not believed.
    pub size: u64,
    /// The registry that it would come from, for the counters.
    pub registry: String,
}

/// Bytes on their way from peers.
pub type Arriving = BoxStream<'static, Result<Bytes, WarmError>>;

/// Why peers do not deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WarmError {
    /// No peer has it, or goes on with it, now.
    #[error("no peer delivers {0}")]
    NoSource(Digest),
    /// The bytes that came are not those of the digest. Who sent them is not asked again.
    #[error("peers sent wrong bytes for {0}")]
    Mismatch(Digest),
    /// It is larger than anything of its kind.
    #[error("{0} is too large for a manifest")]
    TooLarge(Digest),
}

// === impl Warm ===

impl Warm {
    pub(crate) fn new(mirror: Arc<Inner>) -> Self {
        Self(mirror)
    }

    /// A manifest, or a config, that this node holds, checked.
    pub async fn local_manifest(&self, digest: &Digest) -> Option<Bytes> {
        self.0.local_manifest(digest).await
    }

    /// A manifest, whole and checked, from here or from peers.
    ///
    /// # Errors
    /// When the runtime's own deadline for a first byte passed, or all that came was wrong.
    pub async fn manifest(&self, digest: Digest, registry: &str) -> Result<Bytes, WarmError> {
        if let Some(bytes) = self.local_manifest(&digest).await {
            return Ok(bytes);
        }
        let want = self.want(digest, registry, 0, false);
        let fetched = timeout(self.0.first_byte, self.0.fetcher.whole(want, LARGEST_MANIFEST));
        let fetched = fetched.await.map_err(|_| WarmError::NoSource(digest))?;
        fetched.map_err(|error| WarmError::from(&error))
    }

    /// Streams a blob from byte `first`; returns when the first bytes are here. From 0 on it is
    /// compared with its digest, and the last bytes only come when it is right; from elsewhere its
    /// writer has to compare.
    ///
    /// # Errors
    /// When nothing came within [`crate::Deadlines::ahead`]. Asking again keeps this node's place.
    pub async fn stream(&self, blob: &Ahead, first: u64) -> Result<Arriving, WarmError> {
        let Ahead { digest, size, registry } = blob;
        let digest = *digest;
        self.0.fetcher.expect_size(digest, *size);
        let want = self.want(digest, registry, first, true);
        let fetched = timeout(self.0.ahead, self.0.fetcher.stream(want)).await;
        let fetched = fetched.map_err(|_| WarmError::NoSource(digest))?;
        let bytes = fetched.map_err(|error| WarmError::from(&error))?.bytes;
        let bytes = bytes.map(move |bytes| {
            bytes.map_err(|error| {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                inner.map_or(WarmError::NoSource(digest), WarmError::from)
            })
        });
        Ok(gathered(bytes.boxed()))
    }

    /// Where to tell what was written ahead of a pull, so that it does not count as the registry's.
    pub fn deliveries(&self) -> mpsc::Sender<Delivery> {
        self.0.deliveries.clone()
    }

    /// Manifests that the runtime asks for from now on: a pull has begun.
    pub fn asked(&self) -> broadcast::Receiver<Digest> {
        self.0.asked.subscribe()
    }

    /// For which manifests the mirror answers HEAD.
    pub fn declared(&self) -> &Declared {
        &self.0.declared
    }

    fn want(&self, digest: Digest, registry: &str, first: u64, kept: bool) -> Want {
        let registry = registry.to_owned();
        let (end, size, may_lead, patient) = (None, None, false, false);
        Want { digest, first, end, size, kept, may_lead, patient, registry }
    }
}

/// The same bytes in pieces of [`PIECE`], or what comes of them within [`WITHIN`].
fn gathered(pieces: Arriving) -> Arriving {
    let next = |(mut pieces, after): (Arriving, Option<_>)| async {
        let first = match after {
            Some(piece) => piece,
            None => pieces.next().await?,
        };
        let first = match first {
            Ok(first) if first.len() < PIECE => first,
            other => return Some((other, (pieces, None))),
        };
        let mut piece = Vec::with_capacity(PIECE);
        piece.extend_from_slice(&first);
        let (until, mut after) = (Instant::now() + WITHIN, None);
        while piece.len() < PIECE {
            match timeout_at(until, pieces.next()).await {
                Ok(Some(Ok(bytes))) if piece.len() + bytes.len() <= PIECE => {
                    piece.extend_from_slice(&bytes);
                }
                Ok(Some(other)) => {
                    after = Some(other);
                    break;
                }
                Ok(None) | Err(_) => break,
            }
        }
        Some((Ok(Bytes::from(piece)), (pieces, after)))
    };
    stream::unfold((pieces, None), next).boxed()
}

// === impl WarmError ===

impl From<&FetchError> for WarmError {
    fn from(error: &FetchError) -> Self {
        match *error {
            FetchError::NoSource { digest, .. } => Self::NoSource(digest),
            FetchError::Mismatch(digest) => Self::Mismatch(digest),
            FetchError::TooLarge { digest, .. } => Self::TooLarge(digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of these pieces is handed on together, in bytes; the end of a `None` never comes.
    async fn lengths(
        pieces: Vec<Option<Result<usize, WarmError>>>,
    ) -> Vec<Result<usize, WarmError>> {
        let waits = pieces.contains(&None);
        let pieces = pieces.into_iter().flatten();
        let pieces =
            stream::iter(pieces.map(|piece| piece.map(|length| Bytes::from(vec![0; length]))));
        let rest = if waits { stream::pending().boxed() } else { stream::empty().boxed() };
        let gathered = gathered(pieces.chain(rest).boxed());
        let lengths = gathered.map(|piece| piece.map(|bytes| bytes.len()));
        lengths.take_until(tokio::time::sleep(2 * WITHIN)).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn small_pieces_are_handed_on_together() {
        let third = PIECE / 3;
        assert_eq!(lengths(vec![Some(Ok(third)); 4]).await, [Ok(3 * third), Ok(third)]);
        let large = vec![Some(Ok(1)), Some(Ok(2 * PIECE)), Some(Ok(1))];
        assert_eq!(lengths(large).await, [Ok(1), Ok(2 * PIECE), Ok(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_is_handed_on_before_a_failure_and_when_nothing_more_comes() {
        let failure = WarmError::NoSource(Digest::sha256(b"x"));
        assert_eq!(
            lengths(vec![Some(Ok(1)), Some(Ok(1)), Some(Err(failure))]).await,
            [Ok(2), Err(failure)]
        );
        assert_eq!(lengths(vec![Some(Ok(1)), Some(Ok(1)), None]).await, [Ok(2)]);
    }
}
