//! One stream of containerd's content API: one open writer, which holds the lock of its name.
//!
//! Pieces are sent ahead of their answers, two at a time. containerd lets go of the name when the
//! stream has ended, and has then kept all that it took.

use std::time::Duration;

use bytes::Bytes;
use containerd_client::{
    services::v1::{
        AbortRequest, WriteAction, WriteContentRequest, WriteContentResponse,
        content_client::ContentClient,
    },
    tonic::{Code, Status, Streaming, transport::Channel},
};
use futures::channel::mpsc;
use onepull_mirror::sink::{PIECE, Part};
use tokio::time::timeout;

use super::{name::name, tally::Tally};
use crate::containerd::{
    ContainerdError,
    lease::Lease,
    namespace::{answer, in_namespace},
};

/// Messages of [`PIECE`] bytes sent ahead of their answers. The next is on its way while containerd hashes
/// one; together they bound what a writer holds in memory.
const AHEAD: usize = 2;

/// For an answer to a piece. containerd writes into the page cache; a kernel that has to make room on
/// a slow disk first takes seconds. Beyond this containerd hangs, and the warmer has others to serve.
const STEP: Duration = Duration::from_secs(20);

/// For a stream to open, besides [`REHASH`]. Release 1.6 tries for about a second to get a lock.
const OPEN: Duration = Duration::from_secs(10);

/// containerd hashes again what it has of a blob before a writer goes on: as many bytes a second at
/// least, from a slow disk.
const REHASH: u64 = 100_000_000;

/// For a commit, at which containerd syncs the blob to its disk: gigabytes may be waiting in the page
/// cache.
const COMMIT: Duration = Duration::from_secs(120);

/// For the end of a stream, at which it does so too. A pull may be waiting for the name, and gets it
/// then, whether somebody still waits here or not.
const END: Duration = Duration::from_secs(30);

/// For dropping an unfinished blob: one entry in the database, and one folder.
const ABORT: Duration = Duration::from_secs(5);

/// An open writer.
#[derive(Debug)]
pub(super) struct Session {
    client: ContentClient<Channel>,
    name: String,
    expected: String,
    total: i64,
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    /// The next byte to send.
    at: u64,
    /// Messages without an answer, at most [`AHEAD`].
    unanswered: usize,
    tally: Tally,
}

// === impl Session ===

impl Session {
    /// Opens a writer at the byte that containerd has.
    pub(super) async fn begin(
        channel: Channel,
        blob: &Part,
        lease: &Lease,
        tally: Tally,
    ) -> Result<Self, ContainerdError> {
        const OPENING: &str = "open a blob for writing";
        let (name, expected, total) = (name(blob), blob.digest.to_string(), signed(blob.size));
        let (mut requests, receiver) = mpsc::channel(AHEAD);
        let first = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: name.clone(),
            expected: expected.clone(),
            total,
            ..Default::default()
        };
        // The channel is empty.
        let _ = requests.try_send(first);
        let mut client = ContentClient::new(channel);
        let request = lease.keeps(in_namespace(receiver))?;
        let deadline = opening_deadline(blob);
        let answers = answer(OPENING, deadline, client.write(request)).await?;
        let unanswered = 1;
        let mut session =
            Self { client, name, expected, total, requests, answers, at: 0, unanswered, tally };
        session.at = session.answer(OPENING, deadline).await?;
        session.tally.begin(session.at);
        Ok(session)
    }

    /// The next byte to write.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Sends bytes, waiting for containerd where it is too far behind.
    pub(super) async fn write(&mut self, mut bytes: Bytes) -> Result<(), ContainerdError> {
        const WRITING: &str = "take the next bytes";
        while !bytes.is_empty() {
            while self.unanswered >= AHEAD {
                self.took(WRITING).await?;
            }
            let piece = bytes.split_to(PIECE.min(bytes.len()));
            let after = self.at + piece.len() as u64;
            let request = self.message(WriteAction::Write, piece.into());
            self.send(WRITING, request).await?;
            self.at = after;
        }
        Ok(())
    }

    /// Has containerd check the bytes and make the blob complete. It was told before what of it was
    /// written here.
    pub(super) async fn commit(&mut self) -> Result<(), ContainerdError> {
        const COMMITTING: &str = "complete a blob";
        self.settle(COMMITTING).await?;
        self.tally.tell();
        let mut request = self.message(WriteAction::Commit, Vec::new());
        request.expected.clone_from(&self.expected);
        self.send(COMMITTING, request).await?;
        self.answer(COMMITTING, COMMIT).await.map(drop)
    }

    /// Ends the stream; returns when containerd has taken all that was sent and let go of the name.
    pub(super) async fn end(mut self) -> Result<(), ContainerdError> {
        const ENDING: &str = "let go of a blob";
        self.requests.close_channel();
        let ended = async {
            self.settle(ENDING).await?;
            while let Ok(Some(_)) = self.answers.message().await {}
            Ok(())
        };
        timeout(END, ended).await.map_err(|_| ContainerdError::TimedOut { step: ENDING })?
    }

    /// Ends the stream, and drops what containerd has of the blob.
    pub(super) async fn abort(self) -> Result<(), ContainerdError> {
        let (mut client, name) = (self.client.clone(), self.name.clone());
        // A stream that broke has let go as well.
        let _ = self.end().await;
        let request = AbortRequest { r#ref: name };
        match answer("drop an unfinished blob", ABORT, client.abort(in_namespace(request))).await {
            Err(error) if error.code() != Some(Code::NotFound) => Err(error),
            _ => Ok(()),
        }
    }

    fn message(&self, action: WriteAction, data: Vec<u8>) -> WriteContentRequest {
        let (r#ref, total, offset) = (self.name.clone(), self.total, signed(self.at));
        let action = action.into();
        WriteContentRequest { action, r#ref, total, offset, data, ..Default::default() }
    }

    async fn send(
        &mut self,
        step: &'static str,
        request: WriteContentRequest,
    ) -> Result<(), ContainerdError> {
        // There is room for as many as may be unanswered; so it is closed, and containerd said why.
        if self.requests.try_send(request).is_err() {
            self.answer(step, STEP).await?;
            return Err(ContainerdError::call(step, Status::aborted("the stream has ended")));
        }
        self.unanswered += 1;
        Ok(())
    }

    /// Waits until everything sent has been answered.
    async fn settle(&mut self, step: &'static str) -> Result<(), ContainerdError> {
        while self.unanswered > 0 {
            self.took(step).await?;
        }
        Ok(())
    }

    /// Waits until containerd has taken one more piece.
    async fn took(&mut self, step: &'static str) -> Result<(), ContainerdError> {
        let reached = self.answer(step, STEP).await?;
        self.tally.reached(reached);
        Ok(())
    }

    /// Waits for the next answer: how far containerd is.
    async fn answer(
        &mut self,
        step: &'static str,
        deadline: Duration,
    ) -> Result<u64, ContainerdError> {
        let timed_out = |_| ContainerdError::TimedOut { step };
        let answered = timeout(deadline, self.answers.message()).await.map_err(timed_out)?;
        let answered = answered.map_err(|status| ContainerdError::call(step, status))?;
        let ended = || ContainerdError::call(step, Status::aborted("the stream has ended"));
        let offset = answered.ok_or_else(ended)?.offset;
        self.unanswered = self.unanswered.saturating_sub(1);
        Ok(u64::try_from(offset).unwrap_or(0))
    }
}

/// How long containerd may take to open a blob.
pub(super) fn opening_deadline(blob: &Part) -> Duration {
    OPEN + Duration::from_secs(blob.size / REHASH)
}

/// As containerd writes sizes and offsets, none of which is past the end of these numbers.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
