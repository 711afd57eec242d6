//! One blob being written into containerd.

use async_trait::async_trait;
use bytes::Bytes;
use containerd_client::tonic::Code;
use onepull_mirror::{
    Digest,
    sink::{SinkError, SinkWriter},
};
use tracing::debug;

use super::{ending, session::Session};

/// The seam's writer over one [`Session`]. Dropping it cancels the stream, upon which containerd lets
/// go of the name.
pub(super) struct Writer {
    digest: Digest,
    session: Session,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(digest: Digest, session: Session) -> Self {
        Self { digest, session }
    }
}

#[async_trait]
impl SinkWriter for Writer {
    fn at(&self) -> u64 {
        self.session.at()
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        self.session.write(bytes).await.map_err(|error| ending::refused(self.digest, error))
    }

    async fn commit(mut self: Box<Self>) -> Result<(), SinkError> {
        let Err(error) = self.session.commit().await else { return Ok(()) };
        if ending::is_mismatch(&error) {
            let aborted = self.session.abort().await;
            return Err(match aborted {
                Ok(()) => SinkError::Mismatch(self.digest),
                Err(error) => ending::refused(self.digest, error),
            });
        }
        match error.code() {
            Some(Code::AlreadyExists) => Ok(()),
            _ => Err(ending::refused(self.digest, error)),
        }
    }

    async fn abort(self: Box<Self>) -> Result<(), SinkError> {
        let Self { digest, session } = *self;
        session.abort().await.map_err(|error| ending::refused(digest, error))
    }

    async fn close(self: Box<Self>) {
        let Self { digest, session } = *self;
        if let Err(error) = session.end().await {
            debug!(%digest, %error, "a writer did not end well");
        }
    }
}
