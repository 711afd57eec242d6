//! Streams a blob from peers: the first that answers, then the next one from the byte reached.
//!
//! What is fetched from byte 0 to the end is hashed on the way, and its last piece is only handed
//! on when the hash is right. A range cannot be checked here; its reader checks the whole.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use thiserror::Error;
use tokio::time::{Duration, Instant};
use tracing::debug;

use crate::{
    Digest, Peer,
    claim::timing::SILENCE,
    deadlines::Deadlines,
    metrics::Metrics,
    participant::Participant,
    peer::client::{PeerClient, PeerError},
    recent::Recent,
    relay::Relay,
    sources::{Parent, Sources, Standing, Wanted},
    store::ByteStream,
};

mod pursuit;

use pursuit::Pursuit;

/// How long a peer that sent wrong bytes is not asked for that blob again: longer than a kubelet's
/// back-off, so that the retry meets somebody else.
const BAN: Duration = Duration::from_secs(600);

/// How long a peer that cannot be reached, or fell silent, is left alone. Long enough that a dead or
/// frozen node costs one deadline and not one for each layer.
const UNREACHABLE: Duration = Duration::from_secs(30);

/// How long a peer that could not be reached is left alone although a coordinator names it: as long as it
/// takes the coordinator to find a dead one out.
const BRIEFLY: Duration = SILENCE;

/// Bans remembered; more than the peers of a large cluster that can be broken at once.
const BANS: usize = 4096;

/// Blobs up to this size are checked before their first byte is handed on: configs and small
/// layers, for which a wrong peer then costs no pull.
const CHECKED_FIRST: u64 = 1024 * 1024;

/// Liars that one request meets at most before it is left to the registry. Each is banned, so this
/// only bounds what a crowd of them can make one request cost.
const ATTEMPTS: usize = 8;

/// Sizes remembered from manifests that passed: a hundred images of forty layers.
const SIZES: usize = 4096;

/// How long a size is of use: a pull starts its last layer well within that.
const SIZE_LIFETIME: Duration = Duration::from_secs(3600);

/// What is wanted from peers.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) digest: Digest,
    /// First byte.
    pub(crate) first: u64,
    /// One past the last byte; `None` for the blob's end.
    pub(crate) end: Option<u64>,
    /// The size that the range was computed from, where it was: only a peer that agrees will do.
    pub(crate) size: Option<u64>,
    /// Whether the runtime keeps all that comes in this node's store.
    pub(crate) kept: bool,
    /// Whether this node may go to the registry for it.
    pub(crate) may_lead: bool,
    /// Whether its request can still give its slot back and ask again.
    pub(crate) patient: bool,
    /// The upstream registry, for the counters.
    pub(crate) registry: String,
}

/// A blob, or the wanted part of it, on its way from peers.
pub(crate) struct Fetched {
    /// Size of the whole blob in bytes.
    pub(crate) total: u64,
    /// The wanted bytes. It ends with an error when no peer can go on.
    pub(crate) bytes: ByteStream,
}

/// A fetch after its first bytes.
enum Start {
    /// All of a small blob, checked.
    Whole(Bytes),
    /// The first bytes of another, and what brings the rest.
    Running { pursuit: Box<Pursuit>, first: Bytes, total: u64 },
}

/// Why peers cannot deliver (any more).
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("no peer delivers {digest} from byte {at}")]
    NoSource { digest: Digest, at: u64 },
    #[error("the bytes received are not those of {0}")]
    Mismatch(Digest),
    #[error("{digest} has {size} bytes, too many to be held at once")]
    TooLarge { digest: Digest, size: u64 },
}

/// Fetches from peers. One for all requests; clones share everything.
#[derive(Clone)]
pub(crate) struct Fetcher(Arc<Shared>);

struct Shared {
    /// This node's name in transfer events.
    node: String,
    participant: Arc<Participant>,
    sources: Arc<dyn Sources>,
    client: PeerClient,
    relay: Arc<Relay>,
    metrics: Metrics,
    banned: Recent<(SocketAddr, Digest), ()>,
    /// Those that could not be reached, and when.
    unreachable: Recent<SocketAddr, Instant>,
    sizes: Recent<Digest, u64>,
    starved: Duration,
}

// === impl Fetcher ===

impl Fetcher {
    pub(crate) fn new(
        node: String,
        participant: Arc<Participant>,
        sources: Arc<dyn Sources>,
        deadlines: &Deadlines,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Shared {
            node,
            client: participant.client(),
            relay: participant.relay(),
            participant,
            sources,
            metrics,
            banned: Recent::new(BAN, BANS),
            unreachable: Recent::new(UNREACHABLE, BANS),
            sizes: Recent::new(SIZE_LIFETIME, SIZES),
            starved: deadlines.starved,
        }))
    }

    /// Learns the true size of a blob from a manifest, so that a peer cannot lie about it.
    pub(crate) fn expect_size(&self, digest: Digest, size: u64) {
        self.0.sizes.insert(digest, size, Instant::now());
    }

    /// What a manifest said lately.
    pub(crate) fn known_size(&self, digest: &Digest) -> Option<u64> {
        self.0.sizes.get(digest, Instant::now())
    }

    /// The size of a blob that a peer holds.
    pub(crate) async fn size(&self, digest: &Digest) -> Result<u64, FetchError> {
        let mut parents = self.0.sources.parents(&Wanted::new(*digest, 0, false));
        while let Some(parent) = parents.next().await {
            if self.0.is_avoided(&parent, digest) {
                continue;
            }
            let size = self.0.client.size(&parent.peer, digest).await;
            match size.and_then(|size| self.0.believable(digest, size)) {
                Ok(size) => return Ok(size),
                Err(error) => self.0.report(&parent, digest, &error),
            }
        }
        Err(FetchError::NoSource { digest: *digest, at: 0 })
    }

    /// Starts streaming; returns when the first bytes are here. A small blob is here, and checked,
    /// as a whole.
    ///
    /// # Cancel safety
    /// Dropping it ends the fetch. It brings no deadline of its own: the caller has one for the
    /// whole request.
    pub(crate) async fn stream(&self, want: Want) -> Result<Fetched, FetchError> {
        match self.start(want, CHECKED_FIRST).await? {
            Start::Whole(bytes) => {
                let total = bytes.len() as u64;
                Ok(Fetched { total, bytes: stream::iter([Ok(bytes)]).boxed() })
            }
            Start::Running { pursuit, first, total } => {
                Ok(Fetched { total, bytes: pursuit.into_stream(first) })
            }
        }
    }

    /// Fetches a blob of at most `largest` bytes whole, and checked.
    pub(crate) async fn whole(&self, want: Want, largest: u64) -> Result<Bytes, FetchError> {
        let digest = want.digest;
        match self.start(want, largest).await? {
            Start::Whole(bytes) => Ok(bytes),
            Start::Running { total: size, .. } => Err(FetchError::TooLarge { digest, size }),
        }
    }

    /// Gets the first bytes, or the whole where it has at most `checked_first` bytes. A peer with
    /// wrong bytes then costs nothing but the time to ask the next.
    async fn start(&self, want: Want, checked_first: u64) -> Result<Start, FetchError> {
        for _ in 0..ATTEMPTS {
            let pursuit = Pursuit::new(Arc::clone(&self.0), want.clone());
            match begin(pursuit, checked_first).await {
                // The liar is banned by now, so the next attempt asks somebody else.
                Err(FetchError::Mismatch(_)) => {}
                result => return result,
            }
        }
        Err(FetchError::Mismatch(want.digest))
    }
}

// === impl Shared ===

impl Shared {
    /// Whether a peer is not worth asking for the blob now. Whom a coordinator names it has heard of late,
    /// which is more than one failure of a while ago.
    fn is_avoided(&self, source: &Parent, digest: &Digest) -> bool {
        let (now, peer) = (Instant::now(), source.peer.endpoint);
        let left_alone = match source.standing {
            Standing::Announced => UNREACHABLE,
            Standing::Complete | Standing::Arriving => BRIEFLY,
        };
        let failed = self.unreachable.get(&peer, now);
        self.banned.get(&(peer, *digest), now).is_some()
            || failed.is_some_and(|failed| now < failed + left_alone)
    }

    /// Tells a peer that bytes were wrong which came from it. It may be the one that has them on its disk, and
    /// others are about to be sent there.
    fn doubt(&self, peer: Peer, digest: Digest) {
        let client = self.client.clone();
        self.participant.run(async move {
            let told = client.doubt(&peer, &digest).await;
            debug!(%digest, peer = %peer.endpoint, ?told, "told a peer of wrong bytes");
        });
    }

    /// A size that a peer told, unless a manifest knows better.
    fn believable(&self, digest: &Digest, size: u64) -> Result<u64, PeerError> {
        let known = self.sizes.get(digest, Instant::now());
        if known.is_none_or(|known| known == size) { Ok(size) } else { Err(PeerError::WrongAnswer) }
    }

    /// Remembers what a failure says about a peer.
    fn report(&self, source: &Parent, digest: &Digest, error: &PeerError) {
        let peer = &source.peer;
        debug!(%digest, peer = %peer.endpoint, error = %error, "peer did not deliver");
        let now = Instant::now();
        match error {
            // It waits for its own parent, like everybody who is still receiving the blob.
            PeerError::Stalled(_) if source.is_arriving() => {}
            PeerError::Connect(_) | PeerError::Stalled(_) | PeerError::Trickles => {
                self.unreachable.insert(peer.endpoint, now, now);
            }
            PeerError::WrongAnswer => self.banned.insert((peer.endpoint, *digest), (), now),
            PeerError::Absent
            | PeerError::NotAhead
            | PeerError::Busy
            | PeerError::Status(_)
            | PeerError::OtherSize
            | PeerError::Closed(_)
            | PeerError::Broken(_)
            | PeerError::Request(_) => {}
        }
    }
}

async fn begin(mut pursuit: Pursuit, checked_first: u64) -> Result<Start, FetchError> {
    let (first, total) = pursuit.first().await?;
    if !pursuit.is_checked() || total > checked_first {
        return Ok(Start::Running { pursuit: Box::new(pursuit), first, total });
    }
    let mut whole = BytesMut::from(first.as_ref());
    while let Some(bytes) = pursuit.next().await? {
        whole.extend_from_slice(&bytes);
    }
    Ok(Start::Whole(whole.freeze()))
}

/// Whether a stream ended because its bytes are not those of its digest.
pub(crate) fn is_mismatch(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<FetchError>());
    matches!(inner, Some(FetchError::Mismatch(_)))
}
