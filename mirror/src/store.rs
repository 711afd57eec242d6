//! The seam to what this node holds.
//!
//! A store is somebody else's: containerd's content store, or a folder. onepull reads it, follows
//! it, and never keeps a second copy. A blob may be complete or still growing, and a reader need
//! not care which: [`Store::open`] streams to the end either way.

use std::{collections::BTreeMap, io};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use thiserror::Error;
use tokio::sync::watch;

use crate::{Digest, Reservation};

mod folder;
mod followers;
mod growth;
mod inventory;
mod opened;
mod read;
mod tail;

pub use folder::{FolderSink, FolderStore, FolderWriter, blob_path};
pub(crate) use growth::Notices;
pub use growth::{Growing, Growth};
pub use inventory::{Ingest, Inventory};
pub use opened::Opened;
pub use read::{READ_CHUNK, open_file, read_file};
pub(crate) use read::{bring_in, copied, is_cached, limited};
pub(crate) use tail::LOOK;
pub use tail::{STALL, tail_file};

/// What a node holds. Shared by every request, so all methods take `&self`.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// How much of `digest` is here; `None` when nothing is. An unfinished blob counts once it has
    /// been seen to grow.
    ///
    /// # Errors
    /// Only when the store cannot tell. A caller treats that as a miss.
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError>;

    /// Streams the blob from byte `offset` to its end; a growing blob is followed until it is
    /// complete, also from an offset that it has not reached yet.
    ///
    /// # Errors
    /// [`StoreError::Absent`] when the blob is not here (any more), [`StoreError::Io`] and
    /// [`StoreError::Length`] when its bytes cannot be read. An error in mid-stream ends the stream:
    /// a growing blob was given up, or did not grow for [`STALL`] while the reader waited.
    async fn open(&self, digest: &Digest, offset: u64) -> Result<Opened, StoreError>;

    /// Drops an unfinished copy whose bytes were found to be wrong, so that the runtime's next
    /// attempt starts clean. Complete blobs are never touched; an unknown digest is not an error.
    ///
    /// # Errors
    /// When the store refused; the caller can only report it.
    async fn abort(&self, digest: &Digest) -> Result<(), StoreError>;

    /// Everything that is complete now, and what changes from then on, without a gap between.
    fn watch(&self) -> Watch;

    /// What the store has noticed of one blob, now and from now on; `None` is nothing, or nothing
    /// any more. Steps of growth may be skipped, the last state never is.
    ///
    /// Cheap, for digests that may never come too: any number of followers share one entry, which
    /// goes with the last of them. The store asks nobody, so it may hear of a blob only later.
    fn follow(&self, digest: &Digest) -> watch::Receiver<Option<Presence>>;

    /// Makes the runtime wait for a layer of `size` bytes before it takes a download slot for it, as long as the
    /// reservation lasts. `None` where it would wait in a slot, where the layer is here or arriving, and
    /// where the runtime does not answer.
    async fn reserve(&self, _layer: &Digest, _size: u64) -> Option<Box<dyn Reservation>> {
        None
    }
}

/// How much of a blob a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The first `have` bytes are here and more are coming; `total` once the store knows it.
    Growing {
        /// Bytes that can be read now. Only ever grows.
        have: u64,
        /// Bytes of the whole blob.
        total: Option<u64>,
    },
    /// All `size` bytes are here. Ends only by deletion.
    Complete {
        /// Bytes of the blob.
        size: u64,
    },
}

/// A store's content at one moment and the stream of changes after it.
pub struct Watch {
    /// Complete blobs and their sizes in bytes.
    pub snapshot: BTreeMap<Digest, u64>,
    /// What happened since, in order. It ends when the store does; a watcher that falls too far
    /// behind gets [`StoreEvent::Resync`].
    pub events: BoxStream<'static, StoreEvent>,
}

/// A change of what a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// The blob is now complete.
    Added {
        /// Which one.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// The blob is gone.
    Removed {
        /// Which one.
        digest: Digest,
    },
    /// Events were lost: call [`Store::watch`] again.
    Resync,
}

/// A blob's bytes in chunks of at most [`READ_CHUNK`]. Dropping it frees what it holds.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Why a store could not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The blob is not here.
    #[error("{0} is not in the store")]
    Absent(Digest),
    /// The blob is here but reading it failed.
    #[error("cannot read {digest}")]
    Io {
        /// Which one.
        digest: Digest,
        /// What the file system said.
        source: io::Error,
    },
    /// The blob's file is not as long as the blob: a disk that lost its last writes, say.
    #[error("the file of {digest} has {found} bytes and should have {expected}")]
    Length {
        /// Which one.
        digest: Digest,
        /// The blob's size.
        expected: u64,
        /// The file's.
        found: u64,
    },
    /// The runtime behind the store does not answer.
    #[error("the container runtime does not answer: {0}")]
    Unavailable(String),
}

// === impl Presence ===

impl Presence {
    /// The size of a complete blob; `None` while it grows.
    pub fn complete(self) -> Option<u64> {
        match self {
            Self::Complete { size } => Some(size),
            Self::Growing { .. } => None,
        }
    }

    /// Whether all bytes are here.
    pub fn is_complete(self) -> bool {
        self.complete().is_some()
    }
}

// === impl StoreError ===

impl StoreError {
    /// Sorts a file error into "not here" and "cannot be read".
    pub fn from_io(digest: Digest, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Absent(digest),
            _ => Self::Io { digest, source },
        }
    }
}
