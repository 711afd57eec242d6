//! Compares a blob with its digest while it streams by.
//!
//! Hashing is about half of what a byte costs here, so it runs beside the stream and not in its
//! way: a piece is handed on while it is being hashed, and only the last piece waits.

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Digest, digest::Verifier};

/// Pieces up to this size are hashed at once: it takes less time than to wake another thread twice.
const HASHED_IN_PLACE: usize = 16 * 1024;

/// A blob's hash so far.
pub(super) enum Check {
    /// Of all pieces that came.
    Idle(Box<Verifier>),
    /// Of all pieces, when this is done.
    Hashing(JoinHandle<Box<Verifier>>),
    /// The hash was lost with the runtime that computed it; nothing matches any more.
    Lost,
}

// === impl Check ===

impl Check {
    pub(super) fn new(expected: Digest) -> Self {
        Self::Idle(Box::new(Verifier::new(expected)))
    }

    /// Takes the next piece; waits while the one before is being hashed, so that never more than
    /// one is held.
    pub(super) async fn update(&mut self, bytes: Bytes) {
        let Some(mut verifier) = self.settle().await else { return };
        *self = if bytes.len() <= HASHED_IN_PLACE {
            verifier.update(&bytes);
            Self::Idle(verifier)
        } else {
            Self::Hashing(spawn_blocking(move || {
                verifier.update(&bytes);
                verifier
            }))
        };
    }

    /// Whether the pieces so far are the whole blob.
    pub(super) async fn matches(&mut self) -> bool {
        let Some(verifier) = self.settle().await else { return false };
        *self = Self::Idle(verifier.clone());
        verifier.matches()
    }

    async fn settle(&mut self) -> Option<Box<Verifier>> {
        match std::mem::replace(self, Self::Lost) {
            Self::Idle(verifier) => Some(verifier),
            Self::Hashing(task) => task.await.ok(),
            Self::Lost => None,
        }
    }
}
