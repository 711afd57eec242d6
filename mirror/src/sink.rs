//! The seam to writing into the runtime's own store, ahead of any pull.
//!
//! What is written lands where a pull would put it, so the runtime finds it there and fetches
//! nothing; when a pull wants the same blob, the writer steps aside and the runtime goes on at its
//! byte. There is no second copy.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::Digest;

/// Bytes that are best written at a time: with its name, a little less than 1 MiB. containerd has memory of
/// that size for every message of more than 32 KiB, and clears it first, so small ones cost it more than hashing does.
pub const PIECE: usize = 1020 * 1024;

/// Writes blobs into the store that [`crate::Store`] reads.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Opens a blob for writing, at the byte that the store already has of it.
    ///
    /// # Errors
    /// [`SinkError::Complete`] when there is nothing left to write, [`SinkError::Busy`] while
    /// somebody else writes it.
    async fn open(&self, blob: &Part) -> Result<Box<dyn SinkWriter>, SinkError>;

    /// Ends the lease that kept an image's blobs: from now on they stay only if something else in the
    /// runtime refers to them. An unknown image is not an error.
    ///
    /// # Errors
    /// When the runtime does not answer.
    async fn release(&self, image: &Digest) -> Result<(), SinkError>;

    /// The images that have leases, those of earlier runs included.
    ///
    /// # Errors
    /// When the runtime does not answer.
    async fn kept(&self) -> Result<BTreeSet<Digest>, SinkError>;
}

/// One blob being written. Dropping it is [`SinkWriter::close`] without waiting.
#[async_trait]
pub trait SinkWriter: Send {
    /// The next byte to write.
    fn at(&self) -> u64;

    /// Writes the next bytes; those who follow the blob may have them from then on.
    ///
    /// # Errors
    /// When the store refuses, or gave the blob up meanwhile.
    async fn append(&mut self, bytes: Bytes) -> Result<(), SinkError>;

    /// Makes the blob complete.
    ///
    /// # Errors
    /// [`SinkError::Mismatch`] when its bytes are not those of its digest; the unfinished copy is
    /// gone then.
    async fn commit(self: Box<Self>) -> Result<(), SinkError>;

    /// Drops the unfinished copy.
    ///
    /// # Errors
    /// When the store refuses.
    async fn abort(self: Box<Self>) -> Result<(), SinkError>;

    /// Steps aside: the next writer, ours or the runtime's, goes on at this byte.
    async fn close(self: Box<Self>);
}

/// A blob of an image, as it is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The image whose lease keeps it: the digest that its tag resolves to.
    pub image: Digest,
    /// What it is in that image.
    pub role: Role,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What a blob is in its image. Runtimes name downloads by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Names one manifest for each platform.
    Index,
    /// Names a config and layers.
    Manifest,
    /// How to run the image.
    Config,
    /// A part of its file system.
    Layer,
}

/// Why a blob cannot be written.
#[derive(Debug, Error)]
pub enum SinkError {
    /// All of it is here.
    #[error("{0} is complete already")]
    Complete(Digest),
    /// The runtime, or another of our writers, writes it now.
    #[error("{0} is being written by somebody else")]
    Busy(Digest),
    /// The bytes are not those of the digest.
    #[error("the bytes written are not those of {0}")]
    Mismatch(Digest),
    /// The store refused: a full disk, an ingest that was dropped, a runtime that does not answer.
    #[error("{digest} cannot be written: {reason}")]
    Refused {
        /// Which blob.
        digest: Digest,
        /// What the store said.
        reason: String,
    },
    /// The runtime does not say which images have leases.
    #[error("the leases of images cannot be listed: {0}")]
    Unlisted(String),
}
