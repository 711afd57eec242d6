//! The seam to the decision where a missing blob comes from.
//!
//! A stream of parents, best first, whose end means "go upstream", is all that fetching needs to
//! know. [`Lookup`] asks who announced the digest; [`Claims`] asks its coordinator first, so that
//! one node leads and the others follow while the blob is still arriving.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::{Digest, Peer, claim::MOST_LOST};

mod claims;
mod departure;
mod lookup;
mod patience;

pub use claims::Claims;
pub(crate) use departure::Departure;
pub use lookup::Lookup;
pub(crate) use patience::{Grant, Patience};

/// Says which peers to stream a digest from.
#[async_trait]
pub trait Sources: Send + Sync + 'static {
    /// Peers to try, best first. Asking for the next one says that the one before delivers nothing
    /// now, if not for good.
    /// The stream's end means: nobody (else), go to the registry.
    fn parents(&self, wanted: &Wanted) -> BoxStream<'static, Parent>;

    /// Whether a parent that has paused is still the best that is known.
    async fn outlook(&self, wanted: &Wanted, parent: SocketAddr) -> Outlook;
}

/// What is known of a parent that has paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nobody better is known, and it has so much.
    Best {
        /// The next byte that it needs itself.
        have: u64,
    },
    /// There is somebody better, or this node is to lead.
    Passed,
    /// Nobody who knows has answered.
    Unknown,
}

/// What is looked for, as long as it is. Clones share all: who fetches tells, and who chooses
/// parents reads.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which blob.
    pub digest: Digest,
    /// Its size, when a manifest told it. The coordinator makes a chain no longer than the blob has
    /// pieces; of an unknown blob it must assume that it is small.
    pub size: Option<u64>,
    /// Whether the runtime takes all of it into this node's store, where others can follow it: not
    /// so for a closed range, or for a runtime that keeps its blobs elsewhere.
    pub kept: bool,
    /// Whether it may come from the registry: not so for a node without a credential for it. Then
    /// [`Sources::parents`] ends only when its reader does.
    pub may_lead: bool,
    /// Whether its request can still give its slot back and ask again.
    pub patient: bool,
    /// Cancelled by the sources when this node has to leave its parent: the blob's lead is gone, and
    /// this node has most of it, so it is the one that goes on from outside.
    pub promoted: CancellationToken,
    /// Names a parent that is to be left for a better one.
    pub(crate) departure: Departure,
    reached: Arc<AtomicU64>,
    lost: Arc<Mutex<Vec<SocketAddr>>>,
}

/// A peer to stream from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Which one.
    pub peer: Peer,
    /// How it came to be named.
    pub standing: Standing,
}

/// What is known of a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It announced that it holds the blob.
    Announced,
    /// A coordinator named it, and it holds the blob.
    Complete,
    /// A coordinator named it, and it is still receiving the blob itself, or is about to: it may
    /// answer late.
    Arriving,
}

// === impl Wanted ===

impl Wanted {
    /// Something wanted from byte `first` on.
    pub fn new(digest: Digest, first: u64, kept: bool) -> Self {
        Self {
            digest,
            size: None,
            kept,
            may_lead: true,
            patient: false,
            promoted: CancellationToken::new(),
            departure: Departure::default(),
            reached: Arc::new(AtomicU64::new(first)),
            lost: Arc::default(),
        }
    }

    /// The next byte that is needed.
    pub fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    /// Bytes before `at` have come, so a parent works.
    pub(crate) fn reach(&self, at: u64) {
        self.reached.store(at, Ordering::Relaxed);
        self.lock().clear();
    }

    /// A parent failed, and is not to be named again.
    pub(crate) fn lose(&self, parent: SocketAddr) {
        let mut lost = self.lock();
        lost.retain(|other| *other != parent);
        if lost.len() == MOST_LOST {
            lost.remove(0);
        }
        lost.push(parent);
    }

    /// The parents that failed since the last byte came.
    pub(crate) fn lost(&self) -> Vec<SocketAddr> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        // Every critical section leaves the list whole, even if a panic poisoned the lock.
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Parent ===

impl Parent {
    /// Whether it may wait for bytes itself.
    pub(crate) fn is_arriving(&self) -> bool {
        self.standing == Standing::Arriving
    }
}
