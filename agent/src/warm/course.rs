//! One blob's way from its source into the runtime's store, up to its commit.

use std::{pin::pin, sync::atomic::Ordering};

use bytes::Bytes;
use onepull_mirror::{
    sink::{Part, SinkError, SinkWriter},
    warm::{Ahead, WarmError},
};
use tokio::time::{Duration, timeout};
use tracing::debug;

use super::{
    blob::Writing,
    obstacle::Obstacle,
    source::{NO_SOURCE, Source},
    turn::Turn,
};

/// After so long without bytes another blob has the turn, and a writer of few bytes is closed: a pull
/// that waits for it goes on by itself then, and asks the registry. Peers pause for a second now and then.
const STILL: Duration = Duration::from_secs(2);

/// Bytes written that keep a writer open for one more second. Who opens it next, the pull included, has
/// containerd hash them all again within its only write transaction, for which all else on the node waits.
/// That takes 8 s for 10 GB from the page cache and 80 s from a cold disk; this is between the two, so a
/// pause costs about what closing would.
const HASHED_A_SECOND: u64 = 500_000_000;

/// What became of a blob.
pub(crate) enum Received {
    /// All of it is written, to be committed.
    Whole(Box<dyn SinkWriter>),
    /// It is here already.
    There,
    /// The runtime pulls the image.
    Yielded,
}

/// One blob being received.
pub(super) struct Course<'a> {
    writing: &'a Writing<'a>,
    part: &'a Part,
    source: Source<'a>,
    turn: Turn<'a>,
    /// `None` while nothing comes.
    writer: Option<Box<dyn SinkWriter>>,
}

// === impl Course ===

impl<'a> Course<'a> {
    /// Goes on at the byte of `writer`, or begins without one.
    pub(super) fn new(
        writing: &'a Writing<'a>,
        part: &'a Part,
        place: usize,
        writer: Option<Box<dyn SinkWriter>>,
    ) -> Self {
        let registry = writing.registry.to_owned();
        let ahead = Ahead { digest: part.digest, size: part.size, registry };
        let at = writer.as_ref().map_or(0, |writer| writer.at());
        let source = Source::new(writing.peers, ahead, at, &writing.movement);
        Self { writing, part, source, turn: Turn::new(place, &writing.turns), writer }
    }

    /// Receives what is missing. Its turn is over when this returns.
    pub(super) async fn run(mut self) -> Result<Received, Obstacle> {
        loop {
            let piece = tokio::select! {
                biased;
                () = self.writing.aside.cancelled() => {
                    debug!(digest = %self.part.digest, at = self.source.at(), "left to the runtime");
                    self.close().await;
                    return Ok(Received::Yielded);
                }
                piece = self.next() => piece,
            };
            match piece {
                Ok(Some(bytes)) => self.append(bytes).await?,
                Ok(None) => return self.whole().await,
                Err(error) => {
                    self.end(&error).await?;
                    return Err(error);
                }
            }
        }
    }

    /// The next bytes, when it is their turn.
    async fn next(&mut self) -> Result<Option<Bytes>, Obstacle> {
        let piece = self.arrives().await?;
        // What is whole keeps no other blob's bytes off the link.
        let is_last = self.source.is_at_end();
        if piece.is_some() && !is_last {
            self.may_go_on().await;
        }
        Ok(piece)
    }

    /// The next bytes. When they are long in coming, another blob has the turn, and a pull the name.
    async fn arrives(&mut self) -> Result<Option<Bytes>, Obstacle> {
        let patience = patience(self.source.at());
        let mut next = pin!(self.source.next());
        if let Ok(piece) = timeout(STILL, &mut next).await {
            return piece;
        }
        self.turn.leave();
        if let Ok(piece) = timeout(patience - STILL, &mut next).await {
            return piece;
        }
        close(&mut self.writer).await;
        next.await
    }

    /// Waits for its turn. When that is long in coming, a pull may have the name.
    async fn may_go_on(&mut self) {
        let patience = patience(self.source.at());
        let mut on = pin!(self.turn.comes());
        if timeout(patience, &mut on).await.is_err() {
            close(&mut self.writer).await;
            on.await;
        }
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), Obstacle> {
        let length = bytes.len() as u64;
        let mut writer = self.reopened().await?;
        let begins = self.source.at() - length;
        if writer.at() == begins {
            writer.append(bytes).await?;
            self.writing.written.fetch_add(length, Ordering::Relaxed);
            self.writing.warmed.inc_by(length);
        } else {
            // Somebody wrote, or dropped, what was there.
            self.source.seek(writer.at());
        }
        self.writer = Some(writer);
        Ok(())
    }

    async fn whole(mut self) -> Result<Received, Obstacle> {
        Ok(Received::Whole(self.reopened().await?))
    }

    async fn reopened(&mut self) -> Result<Box<dyn SinkWriter>, SinkError> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => self.writing.open_once(self.part).await,
        }
    }

    /// Wrong bytes are dropped; others are left for the next attempt, or for the runtime.
    async fn end(&mut self, error: &Obstacle) -> Result<(), Obstacle> {
        if matches!(error, Obstacle::Peers(WarmError::Mismatch(_))) {
            self.reopened().await?.abort().await?;
        } else {
            self.close().await;
        }
        Ok(())
    }

    async fn close(&mut self) {
        close(&mut self.writer).await;
    }
}

/// How long a writer stays open at byte `at` while nothing comes: no longer than a source is waited for.
fn patience(at: u64) -> Duration {
    (STILL + Duration::from_secs(at / HASHED_A_SECOND)).min(NO_SOURCE)
}

async fn close(writer: &mut Option<Box<dyn SinkWriter>>) {
    if let Some(writer) = writer.take() {
        writer.close().await;
    }
}
