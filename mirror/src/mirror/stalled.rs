//! Ends a stream in which nothing moves, and takes it up where the runtime comes back (ADR 8).
//!
//! containerd asks again for the rest, at its byte, once others have had the slot. It gives a blob up at
//! the fourth end in a row before which nothing came. So the last bytes that came are kept back, and a
//! stream that stands still ends with one of them.

use std::{fmt, io, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Response;
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::{Inner, aside::BACK, kept_back::KeptBack};
use crate::{
    Digest,
    fetch::is_mismatch,
    metrics::Origin,
    range::ByteRange,
    request::Name,
    response::{self, Body},
    store::ByteStream,
};

/// A blob on its way to the runtime, for as long as the runtime reads it or may come back.
///
/// When the runtime hangs up, its pull has failed: those who wait for this node's bytes do not go on
/// waiting.
pub(super) struct Passage {
    mirror: Arc<Inner>,
    digest: Digest,
    /// Bytes of the whole blob.
    total: u64,
    /// The next byte for the runtime.
    at: u64,
    /// The next byte of `bytes`.
    comes: u64,
    bytes: ByteStream,
    kept: KeptBack,
    /// Nothing came when it was looked at last.
    is_still: bool,
    /// The runtime was told that no more comes.
    has_ended: bool,
}

/// What an answer does next.
enum Step {
    /// Next: itself, `GiveWay`, `Break`, or nothing more.
    Move(Box<Passage>),
    /// Ends the answer and waits for the runtime to come back.
    GiveWay(Box<Passage>),
    /// Ends the answer.
    Break(io::Error),
}

impl Inner {
    /// `bytes`, as long as they may hold a download slot. An early end is no fault of a peer: the blob
    /// is not left to the registry.
    pub(super) fn while_moving(
        self: &Arc<Self>,
        digest: Digest,
        at: u64,
        total: u64,
        bytes: ByteStream,
    ) -> ByteStream {
        let (mirror, kept) = (Arc::clone(self), KeptBack::default());
        let passage = Passage {
            mirror,
            digest,
            total,
            at,
            comes: at,
            bytes,
            kept,
            is_still: false,
            has_ended: false,
        };
        Box::new(passage).into_stream()
    }

    /// The rest of a blob whose stream has given its slot back, where the runtime goes on at its byte.
    pub(super) fn taken_up(
        &self,
        name: &Name,
        digest: Digest,
        range: ByteRange,
    ) -> Option<Response<Body>> {
        let (ByteRange::From(first), true) = (range, name.by_containerd) else { return None };
        let passage = self.aside.remove(&digest).filter(|passage| passage.at == first)?;
        let total = passage.total;
        self.hit(name, Origin::peer);
        let bytes = response::streamed(passage.into_stream());
        Some(response::blob(&digest, total, Some(first..total), bytes))
    }

    /// The node keeps its place among those that share the blob: what it has is of use to others, and
    /// its runtime is back as soon as it has a slot.
    fn set_aside(self: &Arc<Self>, passage: Box<Passage>) {
        let (mirror, digest) = (Arc::clone(self), passage.digest);
        let expiry = self.participant.run(async move {
            sleep(BACK).await;
            drop(mirror.aside.remove(&digest));
        });
        self.aside.insert(passage, AbortOnDropHandle::new(expiry));
    }
}

// === impl Passage ===

impl Passage {
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    fn into_stream(self: Box<Self>) -> ByteStream {
        let steps = stream::unfold(Some(Step::Move(self)), |step| async move {
            match step? {
                Step::Move(passage) => passage.step().await,
                Step::GiveWay(passage) => Some((Err(passage.give_way().await), None)),
                Step::Break(error) => {
                    written().await;
                    Some((Err(error), None))
                }
            }
        });
        steps.boxed()
    }

    /// The next bytes for the runtime, and what to do when it has them.
    async fn step(mut self: Box<Self>) -> Option<(io::Result<Bytes>, Option<Step>)> {
        loop {
            if let Some(bytes) = self.kept.pop() {
                self.at += bytes.len() as u64;
                return Some((Ok(bytes), Some(Step::Move(self))));
            }
            if self.comes >= self.total {
                return None;
            }
            let patience = if self.is_still { self.mirror.turn } else { self.mirror.still };
            let next = match timeout(patience, self.bytes.next()).await {
                Ok(next) => next,
                Err(_) => match self.spare() {
                    Some(byte) => return Some((Ok(byte), Some(Step::GiveWay(self)))),
                    None => self.bytes.next().await,
                },
            };
            match next {
                Some(Ok(bytes)) => self.take(bytes),
                Some(Err(error)) => return self.breaks(error),
                None => {
                    self.has_ended = true;
                    self.kept.let_go();
                    self.comes = self.total;
                }
            }
        }
    }

    fn take(&mut self, bytes: Bytes) {
        self.is_still = false;
        self.comes += bytes.len() as u64;
        self.kept.push(bytes);
        if self.comes >= self.total {
            self.kept.let_go();
        }
    }

    /// The byte with which it gives way, if it can.
    fn spare(&mut self) -> Option<Bytes> {
        // One that is fetched in several ranges at once would be asked for in ranges that nobody has yet.
        let is_in_pieces = self.mirror.in_pieces.get(&self.digest, Instant::now()).is_some();
        if is_in_pieces || !self.mirror.aside.has_room() {
            return None;
        }
        let byte = self.kept.pop_one()?;
        self.at += 1;
        Some(byte)
    }

    async fn give_way(mut self: Box<Self>) -> io::Error {
        written().await;
        let (mirror, digest) = (Arc::clone(&self.mirror), self.digest);
        debug!(%digest, at = self.at, "nothing comes for now; the runtime may ask again");
        self.is_still = true;
        // The byte has ended the row of ends without any.
        mirror.turns.insert(digest, 1, Instant::now());
        mirror.metrics.sent_away.inc();
        mirror.set_aside(self);
        io::Error::new(io::ErrorKind::TimedOut, "nothing comes for now")
    }

    /// The runtime has all that came before an error, but for wrong bytes.
    fn breaks(&mut self, error: io::Error) -> Option<(io::Result<Bytes>, Option<Step>)> {
        self.has_ended = true;
        if !is_mismatch(&error) {
            self.kept.let_go();
        }
        match self.kept.pop() {
            Some(bytes) => Some((Ok(bytes), Some(Step::Break(error)))),
            None => Some((Err(error), None)),
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.at < self.total && !self.has_ended {
            debug!(digest = %self.digest, "the runtime hung up");
            self.mirror.participant.send_away(&self.digest);
        }
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, total, at, .. } = self;
        f.debug_struct("Passage")
            .field("digest", digest)
            .field("total", total)
            .field("at", at)
            .finish()
    }
}

/// Lets what was handed on leave the buffers: an error empties them.
async fn written() {
    yield_now().await;
}
