//! The seam to the decision where a missing blob comes from.
//!
//! A stream of parents, best first, whose end means "go upstream", is all that fetching needs to
//! know. [`Lookup`] asks who announced the digest; [`Claims`] asks its coordinator first, so that
//! one node leads and the others follow while the blob is still arriving.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::{Digest, Peer};

mod claims;
mod lookup;
mod patience;

pub use claims::Claims;
pub use lookup::Lookup;
pub(crate) use patience::{Grant, Patience};

/// Says which peers to stream a digest from.
pub trait Sources: Send + Sync + 'static {
    /// Peers to try, best first. Asking for the next one says that the one before delivers no more.
    /// The stream's end means: nobody (else), go to the registry.
    fn parents(&self, wanted: &Wanted) -> BoxStream<'static, Parent>;
}

/// What is looked for, as long as it is. Clones share all.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which blob.
    pub digest: Digest,
    /// How far it has come.
    pub reached: Reached,
    /// Whether the runtime takes all of it into this node's store, where others can follow it: not
    /// so for a closed range, or for a runtime that keeps its blobs elsewhere.
    pub kept: bool,
    /// Cancelled by the sources when this node has to go to the registry although its parent
    /// stands: the blob's lead is gone, and this node has most of it.
    pub promoted: CancellationToken,
}

/// The next byte that is needed, known to who fetches and to who chooses parents.
#[derive(Clone, Debug, Default)]
pub struct Reached(Arc<AtomicU64>);

/// A peer to stream from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Which one.
    pub peer: Peer,
    /// It is still receiving the blob itself, or is about to, so it may answer late.
    pub arriving: bool,
}

// === impl Wanted ===

impl Wanted {
    /// Something wanted from byte `first` on.
    pub fn new(digest: Digest, first: u64, kept: bool) -> Self {
        let reached = Reached::default();
        reached.set(first);
        Self { digest, reached, kept, promoted: CancellationToken::new() }
    }
}

// === impl Reached ===

impl Reached {
    /// The next byte that is needed.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Bytes before `at` have come.
    pub fn set(&self, at: u64) {
        self.0.store(at, Ordering::Relaxed);
    }
}

// === impl Parent ===

impl Parent {
    /// A peer that holds the whole blob.
    pub fn complete(peer: Peer) -> Self {
        Self { peer, arriving: false }
    }
}
