//! Writes one blob of an image into the runtime's store, from peers, and steps aside where the
//! runtime wants it.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use onepull_mirror::{
    Sink, Store, Warm,
    sink::{Part, SinkError, SinkWriter},
    warm::{Ahead, WarmError},
};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Duration, timeout};
use tracing::debug;

use super::{obstacle::Obstacle, plan::Plan, pulls::Left, pulls::Pulls, source::Source};

/// A writer that nothing came for so long is closed: a pull that waits for it goes on by itself then,
/// and asks the registry. Peers pause for a second now and then.
const STILL: Duration = Duration::from_secs(2);

/// How often a blob is begun again whose bytes were wrong. Each time all who sent them are banned, or
/// what lay here from before is gone.
pub(crate) const ATTEMPTS: usize = 3;

/// Where the parts of an image are written, and what they come from.
pub(crate) struct Writing<'a> {
    pub(crate) sink: &'a dyn Sink,
    pub(crate) store: &'a dyn Store,
    pub(crate) warm: &'a Warm,
    pub(crate) registry: &'a str,
    /// Counts what was written of this image.
    pub(crate) written: &'a AtomicU64,
    /// Counts what was written of all.
    pub(crate) warmed: &'a Counter,
}

/// What became of a blob.
pub(crate) enum Received {
    /// All of it is written, to be committed.
    Whole(Box<dyn SinkWriter>),
    /// It is here already.
    There,
    /// The runtime pulls the image.
    Yielded,
}

/// One blob being written.
struct Course<'a> {
    writing: &'a Writing<'a>,
    part: &'a Part,
    source: Source<'a>,
    /// `None` while nothing comes.
    writer: Option<Box<dyn SinkWriter>>,
}

// === impl Writing ===

impl Writing<'_> {
    /// Writes what is missing of a blob, up to its commit.
    pub(crate) async fn receive(
        &self,
        part: &Part,
        plan: &Plan,
        pulls: &mut Pulls,
    ) -> Result<Received, Obstacle> {
        for attempt in 1.. {
            let Some(writer) = self.open(part).await? else { return Ok(Received::There) };
            match self.course(part, writer).run(plan, pulls).await {
                Err(
                    Obstacle::Peers(WarmError::Mismatch(_)) | Obstacle::Sink(SinkError::Busy(_)),
                ) if attempt < ATTEMPTS => {}
                Err(Obstacle::Sink(SinkError::Complete(_))) => return Ok(Received::There),
                other => return other,
            }
        }
        Ok(Received::There)
    }

    /// Opens a blob; waits as long as the runtime writes it. `None` when it is complete.
    async fn open(&self, part: &Part) -> Result<Option<Box<dyn SinkWriter>>, Obstacle> {
        let mut left = Left::new(self.store, [part.digest]);
        loop {
            match self.sink.open(part).await {
                Ok(writer) => return Ok(Some(writer)),
                Err(SinkError::Complete(_)) => return Ok(None),
                Err(SinkError::Busy(_)) if left.moves().await => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn course<'a>(&'a self, part: &'a Part, writer: Box<dyn SinkWriter>) -> Course<'a> {
        let registry = self.registry.to_owned();
        let ahead = Ahead { digest: part.digest, size: part.size, registry };
        let source = Source::new(self.warm, ahead, writer.at());
        Course { writing: self, part, source, writer: Some(writer) }
    }

    /// Writes a blob whose bytes are here.
    pub(crate) async fn put(&self, part: &Part, bytes: &Bytes) -> Result<(), Obstacle> {
        let Some(mut writer) = self.open(part).await? else { return Ok(()) };
        let at = usize::try_from(writer.at()).unwrap_or(usize::MAX).min(bytes.len());
        writer.append(bytes.slice(at..)).await?;
        match writer.commit().await {
            // Somebody was sooner.
            Ok(()) | Err(SinkError::Complete(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

// === impl Course ===

impl Course<'_> {
    async fn run(mut self, plan: &Plan, pulls: &mut Pulls) -> Result<Received, Obstacle> {
        loop {
            let piece = tokio::select! {
                biased;
                () = pulls.begins(plan) => {
                    debug!(digest = %self.part.digest, at = self.source.at(), "left to the runtime");
                    self.close().await;
                    return Ok(Received::Yielded);
                }
                piece = self.next() => piece,
            };
            match piece {
                Ok(Some(bytes)) => self.append(bytes).await?,
                Ok(None) => return Ok(Received::Whole(self.reopened().await?)),
                Err(error) => {
                    self.end(&error).await?;
                    return Err(error);
                }
            }
        }
    }

    /// The next bytes. When they are long in coming, the writer is closed.
    async fn next(&mut self) -> Result<Option<Bytes>, Obstacle> {
        let mut next = pin!(self.source.next());
        match timeout(STILL, &mut next).await {
            Ok(piece) => piece,
            Err(_) => {
                if let Some(writer) = self.writer.take() {
                    writer.close().await;
                }
                next.await
            }
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

    async fn reopened(&mut self) -> Result<Box<dyn SinkWriter>, Obstacle> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => Ok(self.writing.sink.open(self.part).await?),
        }
    }

    async fn close(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.close().await;
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
}
