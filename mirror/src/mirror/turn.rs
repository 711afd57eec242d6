//! Gives a download slot back when its blob has to wait (ADR 8).
//!
//! containerd holds one of its three slots while it waits for an answer. An answer without a byte,
//! ended before its length, makes it ask again once others have had the slot.

use std::io;

use futures::stream;
use http::Response;
use tokio::time::{Duration, Instant};
use tracing::debug;

use super::Inner;
use crate::{
    Digest,
    range::ByteRange,
    request::Name,
    response::{self, Body},
};

/// How long a blob's turn is remembered. containerd fails a pull at the fourth empty answer in a row,
/// and a blob may wait for its slot as long as the layers before it take.
pub(super) const REMEMBERED: Duration = Duration::from_secs(3600);

/// Blobs remembered, many more than wait at a time.
pub(super) const TURNS: usize = 4096;

/// Smaller blobs come within one answer, so their requests never wait for long.
const LEAST: u64 = 1024 * 1024;

impl Inner {
    /// The size to answer with when the blob's first byte is not here in time; `None` when the request
    /// has to wait. One empty answer a blob and hour: two more are left to whatever else may break.
    pub(super) fn may_ask_again(
        &self,
        name: &Name,
        digest: &Digest,
        range: ByteRange,
    ) -> Option<u64> {
        let is_whole = matches!(range, ByteRange::Whole | ByteRange::From(0));
        let had_its_turn = self.turns.get(digest, Instant::now()).is_some();
        let size = self.fetcher.known_size(digest).filter(|size| *size >= LEAST);
        size.filter(|_| name.by_containerd && is_whole && !had_its_turn)
    }

    /// The empty answer.
    pub(super) fn ask_again(&self, digest: Digest, size: u64) -> Response<Body> {
        debug!(%digest, "nothing came yet; the runtime may ask again");
        self.turns.insert(digest, (), Instant::now());
        self.participant.send_away(&digest);
        self.metrics.sent_away.inc();
        let end = io::Error::new(io::ErrorKind::TimedOut, "nothing came yet");
        let body = stream::once(std::future::ready(Err(end)));
        response::blob(&digest, size, None, response::streamed(Box::pin(body)))
    }
}
