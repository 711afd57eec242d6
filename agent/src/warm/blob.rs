//! Writes the blobs of an image into the runtime's store, from peers, and steps aside where the
//! runtime wants them.

use std::{pin::pin, sync::atomic::AtomicU64};

use bytes::Bytes;
use futures::{StreamExt, stream};
use onepull_mirror::{
    Sink, Store,
    sink::{Part, SinkError, SinkWriter},
    warm::WarmError,
};
use prometheus_client::metrics::counter::Counter;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    course::{Course, Received},
    movement::Movement,
    obstacle::Obstacle,
    plan::Plan,
    pulls::{Left, have},
    source::Peers,
    turns::Turns,
};

/// How often a blob is begun again whose bytes were wrong. Each time all who sent them are banned, or
/// what lay here from before is gone.
const ATTEMPTS: usize = 3;

/// Blobs that are claimed at a time, in the order of the manifest. Most images have fewer layers; the
/// node that has the image from the registry hardly ever begins with one so far ahead of its turn. Each
/// costs its parent a waiting request, and its coordinators a message a second; and the first bytes of
/// all of them, [`onepull_mirror::store::READ_CHUNK`] each, bound what waits here for its turn.
const CLAIMED: usize = 16;

/// Where the parts of an image are written, and what they come from.
pub(crate) struct Writing<'a> {
    pub(crate) sink: &'a dyn Sink,
    pub(crate) store: &'a dyn Store,
    pub(crate) peers: &'a dyn Peers,
    pub(crate) registry: &'a str,
    /// Counts what was written of this image.
    pub(crate) written: &'a AtomicU64,
    /// Counts what was written of all.
    pub(crate) warmed: &'a Counter,
    /// Which blobs are received.
    pub(crate) turns: watch::Sender<Turns>,
    /// When any blob moved last.
    pub(crate) movement: Movement,
    /// Cancelled when the runtime pulls the image.
    pub(crate) aside: CancellationToken,
}

// === impl Writing ===

impl Writing<'_> {
    /// Writes what is missing of an image. `false` when the runtime pulls it meanwhile. No writer is
    /// open when this returns.
    pub(crate) async fn write(&self, plan: &Plan) -> Result<bool, Obstacle> {
        let is_written = self.write_blobs(plan).await?;
        if is_written {
            for (part, bytes) in plan.manifests() {
                self.put(&part, &bytes).await?;
            }
        }
        Ok(is_written)
    }

    /// Writes the layers and the config.
    async fn write_blobs(&self, plan: &Plan) -> Result<bool, Obstacle> {
        let blobs = plan.blobs().into_iter().enumerate();
        let blobs = blobs.map(|(place, part)| async move { self.complete(place, &part).await });
        let mut blobs = pin!(stream::iter(blobs).buffer_unordered(CLAIMED));
        let mut all = Ok(true);
        while let Some(complete) = blobs.next().await {
            if !matches!(complete, Ok(true)) {
                // The others end where they are.
                self.aside.cancel();
            }
            all = all.and_then(|all| Ok(complete? && all));
        }
        all
    }

    /// Makes one blob complete; one whose bytes were wrong is fetched again.
    async fn complete(&self, place: usize, part: &Part) -> Result<bool, Obstacle> {
        for attempt in 1.. {
            let writer = match self.receive(place, part).await? {
                Received::Whole(writer) => writer,
                Received::There => return Ok(true),
                Received::Yielded => return Ok(false),
            };
            match writer.commit().await {
                Err(SinkError::Mismatch(_)) if attempt < ATTEMPTS => {}
                Ok(()) | Err(SinkError::Complete(_)) => {
                    // The store has it from now on, also where nobody tells it of what came in a moment.
                    let _ = self.store.stat(&part.digest).await;
                    return Ok(true);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Writes what is missing of a blob, up to its commit.
    async fn receive(&self, place: usize, part: &Part) -> Result<Received, Obstacle> {
        for attempt in 1.. {
            let begun = tokio::select! {
                biased;
                () = self.aside.cancelled() => return Ok(Received::Yielded),
                begun = self.begin(place, part) => begun?,
            };
            let Some(course) = begun else { return Ok(Received::There) };
            match course.run().await {
                Err(
                    Obstacle::Peers(WarmError::Mismatch(_)) | Obstacle::Sink(SinkError::Busy(_)),
                ) if attempt < ATTEMPTS => {}
                Err(Obstacle::Sink(SinkError::Complete(_))) => return Ok(Received::There),
                other => return other,
            }
        }
        Ok(Received::There)
    }

    /// `None` for a blob that is complete. One of which nothing is here gets a writer with its first
    /// bytes, so that none is open that does not move.
    async fn begin<'a>(
        &'a self,
        place: usize,
        part: &'a Part,
    ) -> Result<Option<Course<'a>>, Obstacle> {
        let writer = match self.store.stat(&part.digest).await {
            Ok(presence) if have(presence) == 0 => None,
            _ => match self.open(part).await? {
                None => return Ok(None),
                writer => writer,
            },
        };
        Ok(Some(Course::new(self, part, place, writer)))
    }

    /// Opens a blob; waits as long as the runtime writes it. `None` when it is complete.
    async fn open(&self, part: &Part) -> Result<Option<Box<dyn SinkWriter>>, Obstacle> {
        let mut left = Left::new(self.store, [part.digest]);
        loop {
            match self.open_once(part).await {
                Ok(writer) => return Ok(Some(writer)),
                Err(SinkError::Complete(_)) => return Ok(None),
                Err(SinkError::Busy(_)) if left.moves().await => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Opens a blob. The runtime hashes what it has of it meanwhile, and no peer is late for that.
    pub(super) async fn open_once(&self, part: &Part) -> Result<Box<dyn SinkWriter>, SinkError> {
        let _opening = self.movement.opening();
        let opened = self.sink.open(part).await;
        if opened.is_ok() {
            self.movement.note(Instant::now());
        }
        opened
    }

    /// Writes a blob whose bytes are here.
    async fn put(&self, part: &Part, bytes: &Bytes) -> Result<(), Obstacle> {
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

#[cfg(test)]
mod tests;
