//! One follower's way through a blob that passes: from memory where it can, else from the store.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::{sync::watch, time::timeout};

use super::{
    Relay,
    window::{View, Window},
};
use crate::{
    Digest,
    store::{ByteStream, LOOK, Opened, STALL},
};

/// Where one reader is.
pub(super) struct Reading {
    relay: Arc<Relay>,
    digest: Digest,
    at: u64,
    window: watch::Receiver<Window>,
    /// What the store has from byte `at` on, while it is read from there.
    stored: Option<Opened>,
}

// === impl Reading ===

impl Reading {
    pub(super) fn new(
        relay: Arc<Relay>,
        digest: Digest,
        at: u64,
        window: watch::Receiver<Window>,
    ) -> Self {
        Self { relay, digest, at, window, stored: None }
    }

    pub(super) fn into_stream(self) -> ByteStream {
        let pieces = stream::unfold(Some(self), async |reading| {
            let mut reading = reading?;
            match reading.next().await.transpose()? {
                Ok(bytes) => Some((Ok(bytes), Some(reading))),
                Err(error) => Some((Err(error), None)),
            }
        });
        pieces.boxed()
    }

    /// The next bytes; `None` at the end of the blob.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.at < self.window.borrow().total() {
            match self.view() {
                View::Here(bytes) => {
                    self.stored = None;
                    self.at += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                View::Soon => self.wait().await?,
                View::Elsewhere => return self.next_stored().await,
            }
        }
        Ok(None)
    }

    /// What the window has. The blob may pass again, in a new window, when its download was
    /// interrupted.
    fn view(&mut self) -> View {
        if self.window.borrow().is_closed()
            && let Some(window) = self.relay.window(&self.digest)
        {
            self.window = window;
        }
        self.window.borrow_and_update().at(self.at)
    }

    /// Waits for the window to move. Small steps soon after a large one wake nobody, so a reader looks
    /// by itself.
    async fn wait(&mut self) -> io::Result<()> {
        let window = &mut self.window;
        if timeout(LOOK, window.changed()).await.is_ok() || window.borrow().is_ahead_of(self.at) {
            return Ok(());
        }
        // However it was woken, the window tells.
        let moved = timeout(STALL - LOOK, window.changed()).await;
        let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, "the blob stopped passing");
        moved.map_err(stalled).map(|_| ())
    }

    async fn next_stored(&mut self) -> io::Result<Option<Bytes>> {
        let stored = match &mut self.stored {
            Some(stored) => stored,
            None => {
                let stored = self.relay.open_stored(&self.digest, self.at).await;
                self.stored.insert(stored.map_err(io::Error::other)?)
            }
        };
        let next = stored.next().await.transpose()?;
        self.at += next.as_ref().map_or(0, Bytes::len) as u64;
        Ok(next)
    }
}
