//! Lets in who proves itself, within bounds: whoever can reach the port can begin a handshake.

use std::{net::SocketAddr, sync::Arc};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::Duration,
};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::{
    metrics::{End, Metrics},
    peer::tls,
};

/// A handshake that takes longer is given up: a peer's takes a round trip and a millisecond, and it
/// gives this node up after [`crate::Deadlines::answer`].
const PATIENCE: Duration = Duration::from_secs(3);

/// Handshakes at once; whoever comes then is closed, and a peer goes to the next one. Those of a
/// thousand peers that come together are over in a second; strangers that say nothing have these
/// and leave the other connections alone.
const AT_ONCE: usize = 512;

/// Where connections prove themselves.
#[derive(Clone)]
pub(super) struct Gate {
    config: Arc<ServerConfig>,
    free: Arc<Semaphore>,
    metrics: Metrics,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(config: Arc<ServerConfig>, metrics: Metrics) -> Self {
        Self { config, free: Arc::new(Semaphore::new(AT_ONCE)), metrics }
    }

    /// The connection of `from`, once it has proved itself.
    pub(super) async fn pass<S>(&self, stream: S, from: SocketAddr) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Ok(_turn) = self.free.try_acquire() else {
            debug!(%from, limit = AT_ONCE, "too many handshakes; a new connection is closed");
            return None;
        };
        let handshake = tls::accept(Arc::clone(&self.config), stream, PATIENCE).await;
        handshake
            .inspect_err(|error| tls::note_failure(&self.metrics, End::accepted, from, error))
            .ok()
    }
}
