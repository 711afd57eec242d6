//! A connection to containerd of one's own, made when it is first needed.
//!
//! Blobs that are written would queue up before the short questions that a pull waits for, if they
//! shared the store's connection.

use std::path::{Path, PathBuf};

use containerd_client::tonic::transport::Channel;
use tokio::sync::OnceCell;

use super::{ContainerdError, connect::dial};

/// The way to a containerd that may not run yet. Once made, it mends itself.
#[derive(Debug)]
pub(super) struct Wire {
    socket: PathBuf,
    channel: OnceCell<Channel>,
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), channel: OnceCell::new() }
    }

    /// The connection.
    ///
    /// # Errors
    /// Why there is none; the next call tries again.
    pub(super) async fn channel(&self) -> Result<Channel, ContainerdError> {
        self.channel.get_or_try_init(|| dial(&self.socket)).await.cloned()
    }
}
