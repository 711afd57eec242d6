//! Fetching one blob: from the first host that has it, resumed at its byte when the body ends early.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Response, StatusCode, body::Incoming};
use onepull_mirror::{Digest, store::FolderWriter};
use tokio::time::timeout;

use super::{Host, PullError, Puller, host::is_reset};

/// Breaks in a row without a byte between them that fail a pull, as in containerd.
const BREAKS_ALLOWED: u32 = 3;
/// A body that does not move for this long fails the pull. containerd would wait for ever; a test
/// has to end. Longer than any queue in front of a slow origin.
const STALL_DEADLINE: Duration = Duration::from_secs(120);

/// How a body ended.
enum End {
    /// As its headers announced, which need not be the whole blob.
    Complete,
    /// Before its announced length, in a way that can be resumed.
    Early,
}

/// A blob being written.
struct Progress {
    digest: Digest,
    writer: FolderWriter,
}

// === impl Puller ===

impl Puller {
    pub(super) async fn fetch_blob(
        &self,
        hosts: &[Host],
        repository: &str,
        digest: Digest,
        size: u64,
    ) -> Result<(), PullError> {
        if self.holds(&digest).await {
            return Ok(());
        }
        let path = format!("{repository}/blobs/{digest}");
        let stored = |source| PullError::Store { digest, source };
        let writer = self.store.write(digest).await.map_err(stored)?.with_total(size);
        let mut progress = Progress { digest, writer };
        let mut breaks = 0;
        loop {
            let at = progress.writer.written();
            let (host, response) = self.first_answer(hosts, digest, &path, at).await?;
            match self.receive(host, response, &mut progress).await? {
                End::Complete if progress.writer.written() >= size => {
                    return progress.writer.commit().await.map_err(stored);
                }
                _ if progress.writer.written() > at => breaks = 0,
                _ => breaks += 1,
            }
            if breaks == BREAKS_ALLOWED {
                return Err(PullError::Broken { digest, breaks, at });
            }
        }
    }

    async fn receive(
        &self,
        host: &Host,
        response: Response<Incoming>,
        progress: &mut Progress,
    ) -> Result<End, PullError> {
        let digest = progress.digest;
        // A host may ignore the range and start over; containerd skips what it already has.
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT;
        let mut skip = if resumed { 0 } else { progress.writer.written() };
        let mut body = response.into_body();
        loop {
            let aborted = |at, reason| PullError::Aborted { digest, at, reason };
            let at = progress.writer.written();
            let frame = match timeout(STALL_DEADLINE, body.frame()).await {
                Err(_) => return Err(aborted(at, "nothing moved for two minutes".into())),
                Ok(None) => return Ok(End::Complete),
                Ok(Some(Err(error))) if is_reset(&error) => {
                    return Err(aborted(at, error.to_string()));
                }
                Ok(Some(Err(error))) => {
                    tracing::debug!(%digest, at, %error, "body ended early");
                    return Ok(End::Early);
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(mut bytes) = frame.into_data() else { continue };
            if let Some(downlink) = &self.downlink {
                downlink.take(bytes.len()).await;
            }
            self.received.add(host, bytes.len() as u64);
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            skip -= skipped as u64;
            let new = bytes.split_off(skipped);
            let written = progress.writer.append(&new).await;
            written.map_err(|source| PullError::Store { digest, source })?;
        }
    }
}
