//! Ends a stream in which nothing moves when two others of the runtime wait already (ADR 8).
//!
//! containerd asks again for the rest, at its byte, once others have had the slot. That costs one of
//! the breaks without progress that it bears in a row, so it is a turn as an empty answer is.

use std::{io, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::time::Instant;
use tracing::debug;

use super::{Inner, parking::Wait};
use crate::{Digest, store::ByteStream};

/// The runtime, as long as it reads an answer.
struct Reader {
    mirror: Arc<Inner>,
    digest: Digest,
    /// Bytes that it has yet to take; none when the answer has ended.
    left: u64,
}

impl Inner {
    /// `bytes`, as long as they may hold a download slot. An early end is no fault of a peer: the blob
    /// is not left to the registry.
    ///
    /// When the runtime hangs up, its pull has failed: those who wait for this node's bytes do not go on
    /// waiting.
    pub(super) fn while_moving(
        self: &Arc<Self>,
        digest: Digest,
        length: u64,
        bytes: ByteStream,
    ) -> ByteStream {
        let reader = Reader { mirror: Arc::clone(self), digest, left: length };
        let moving = stream::unfold(Some((reader, bytes)), move |open| async move {
            let (mut reader, mut bytes) = open?;
            let next = match reader.mirror.next_in_turn(&mut bytes).await {
                Wait::Over(next) => next,
                _ => Some(Err(reader.mirror.breaks_off(digest))),
            };
            reader.note(next.as_ref());
            Some((next?, (reader.left > 0).then_some((reader, bytes))))
        });
        moving.boxed()
    }

    async fn next_in_turn(&self, bytes: &mut ByteStream) -> Wait<Option<io::Result<Bytes>>> {
        let mut next = bytes.next();
        match self.parking.wait_long(Pin::new(&mut next)).await {
            Wait::Parked(_space) => Wait::Over(next.await),
            wait => wait,
        }
    }

    /// The node keeps its place among those that share the blob: what it has is of use to others, and
    /// its runtime is back as soon as it has a slot.
    fn breaks_off(&self, digest: Digest) -> io::Error {
        debug!(%digest, "nothing comes any more; the runtime may ask again");
        // The bytes that came before have ended the row of turns without any.
        self.turns.insert(digest, 1, Instant::now());
        self.metrics.sent_away.inc();
        io::Error::new(io::ErrorKind::TimedOut, "nothing comes any more, and others wait")
    }
}

impl Reader {
    fn note(&mut self, next: Option<&io::Result<Bytes>>) {
        self.left = match next {
            Some(Ok(bytes)) => self.left.saturating_sub(bytes.len() as u64),
            _ => 0,
        };
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.left > 0 {
            debug!(digest = %self.digest, "the runtime hung up");
            self.mirror.participant.send_away(&self.digest);
        }
    }
}
