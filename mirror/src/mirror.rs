//! The mirror endpoint: the pull API of the OCI distribution specification for the container
//! runtime on this node.
//!
//! It answers from the local store, else from a peer, else with 404, and the runtime goes to the
//! registry itself. It never answers for a tag, never asks a registry, never keeps a byte.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use tokio::{
    sync::{broadcast, mpsc},
    time::{Duration, Instant, timeout},
};
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::{
    Digest, Participant, Store,
    deadlines::Deadlines,
    declared::Declared,
    fetch::Fetcher,
    manifest::Manifest,
    metrics::{Metrics, Origin},
    range::ByteRange,
    recent::Recent,
    request::{Name, PROBE_REPOSITORY, Reference, Route},
    response::{self, Body, Refusal},
    sources::{Claims, Lookup},
    warm::Warm,
};

mod account;
mod aside;
mod kept_back;
mod local;
mod order;
mod parking;
mod remote;
mod reserving;
mod stalled;
mod turn;

use aside::Aside;
use order::Order;
use parking::Parking;
use reserving::Reservations;

/// After a stream broke, its blob is left to the registry for this long. The runtime resumes at
/// once, at the byte it has, and must not meet the same peers, or the same bad disk, again.
const LEFT_TO_REGISTRY: Duration = Duration::from_secs(10);

/// Blobs left to the registry that are remembered; a node pulls far fewer at a time.
const LEFT: usize = 1024;

/// Deliveries that may wait to be accounted for. When the reader is slower than that, some bytes of
/// peers will count as the registry's.
pub const DELIVERIES_WAITING: usize = 1024;

/// Manifests asked for that may wait to be noticed. Who is slower than that misses the start of a
/// pull among hundreds.
const ASKED_WAITING: usize = 256;

/// What the runtime got for a digest, for the account of bytes from the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The blob.
    pub digest: Digest,
    /// The registry it was asked of; `None` for what was written ahead of any pull.
    pub registry: Option<String>,
    /// The first byte asked for. At 0 the runtime has nothing (any more).
    pub first: u64,
    /// Bytes handed over; 0 when the runtime was sent to the registry.
    pub bytes: u64,
}

/// What a mirror is made of.
pub struct Parts {
    /// This node's name, for transfer events.
    pub node: String,
    /// This node among those that share what they pull.
    pub participant: Arc<Participant>,
    /// What this node holds.
    pub store: Arc<dyn Store>,
    /// Who else holds a blob.
    pub outside: Lookup,
    /// How long to wait for it.
    pub deadlines: Deadlines,
    /// What to count.
    pub metrics: Metrics,
    /// Told of every blob of a peer and of every miss that names its first byte. See
    /// [`DELIVERIES_WAITING`].
    pub deliveries: mpsc::Sender<Delivery>,
    /// Runs the streams; close it and wait for it to drain them.
    pub tasks: TaskTracker,
}

/// Serves the container runtime. Clones share everything.
#[derive(Clone)]
pub struct Mirror(Arc<Inner>);

pub(crate) struct Inner {
    store: Arc<dyn Store>,
    pub(crate) fetcher: Fetcher,
    pub(crate) first_byte: Duration,
    pub(crate) ahead: Duration,
    metrics: Metrics,
    left_to_registry: Recent<Digest, ()>,
    participant: Arc<Participant>,
    turn: Duration,
    still: Duration,
    /// How often a blob's request was answered with nothing, lately.
    turns: Recent<Digest, u32>,
    order: Order,
    parking: Parking,
    aside: Aside,
    reserved: Reservations,
    /// Blobs that the runtime fetches in several ranges at once, where it is let.
    in_pieces: Recent<Digest, ()>,
    pub(crate) deliveries: mpsc::Sender<Delivery>,
    pub(crate) asked: broadcast::Sender<Digest>,
    pub(crate) declared: Declared,
    tasks: TaskTracker,
}

// === impl Mirror ===

impl Mirror {
    /// Puts a mirror together.
    pub fn new(parts: Parts) -> Self {
        let Parts { node, participant, store, outside, deadlines, metrics, deliveries, tasks } =
            parts;
        let sources = Arc::new(Claims::new(Arc::clone(&participant), outside));
        let fetcher =
            Fetcher::new(node, Arc::clone(&participant), sources, &deadlines, metrics.clone());
        Self(Arc::new(Inner {
            fetcher,
            first_byte: deadlines.first_byte,
            ahead: deadlines.ahead,
            store,
            metrics,
            left_to_registry: Recent::new(LEFT_TO_REGISTRY, LEFT),
            participant,
            turn: deadlines.turn,
            still: deadlines.still,
            turns: Recent::new(turn::REMEMBERED, turn::TURNS),
            order: Order::new(),
            parking: Parking::new(deadlines.crowded),
            aside: Aside::default(),
            reserved: Reservations::default(),
            in_pieces: Recent::new(turn::REMEMBERED, turn::TURNS),
            deliveries,
            asked: broadcast::Sender::new(ASKED_WAITING),
            declared: Declared::default(),
            tasks,
        }))
    }

    /// The same way to peers, for who writes into the runtime's store ahead of it.
    pub fn warm(&self) -> Warm {
        Warm::new(Arc::clone(&self.0))
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        let response = self.try_answer(&request).await.unwrap_or_else(Refusal::into_response);
        debug!(method = %request.method(), uri = %request.uri(), status = %response.status());
        response
    }

    async fn try_answer<B>(&self, request: &Request<B>) -> Result<Response<Body>, Refusal> {
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Refusal::Method),
        };
        match Route::parse(request.uri())? {
            Route::Base => Ok(response::base()),
            Route::Manifest(name, reference) => self.manifest(&name, &reference, head).await,
            Route::Blob(name, digest) if head => self.blob_head(&name, digest).await,
            Route::Blob(name, digest) => {
                let range = request.headers().get(header::RANGE);
                let range = ByteRange::parse(range.and_then(|value| value.to_str().ok()));
                self.blob(&name, digest, range).await
            }
        }
    }

    /// A manifest by digest. A HEAD comes before the registry checked any credential, so it is left
    /// to the registry, but for images that this node was told to hold.
    async fn manifest(
        &self,
        name: &Name,
        reference: &Reference,
        head: bool,
    ) -> Result<Response<Body>, Refusal> {
        if name.repository == PROBE_REPOSITORY {
            self.0.metrics.probes.inc();
        }
        let Reference::Digest(digest) = *reference else { return Err(Refusal::Tag) };
        if head {
            return self.manifest_head(name, digest).await;
        }
        // Nobody who listens is nobody who is in the way.
        let _ = self.0.asked.send(digest);
        let search = Box::pin(self.0.find_manifest(name, digest, name.by_containerd));
        let search = self.0.manifest_in_turn(name, search);
        let found = self.0.in_time(name, digest, Some(0), search).await;
        let Some((bytes, origin, manifest)) = found else {
            self.0.order.passed_by(digest);
            return Err(Refusal::Manifest(digest));
        };
        self.0.learn(&manifest, false);
        self.0.reserve(name, digest, &manifest).await;
        self.0.hit(name, origin);
        self.0.sent(name, digest, origin, 0, bytes.len() as u64);
        Ok(response::manifest(&digest, &manifest.media_type, bytes))
    }

    /// It waits for nobody who is still to fetch it: the GET that follows does.
    async fn manifest_head(&self, name: &Name, digest: Digest) -> Result<Response<Body>, Refusal> {
        if !self.0.declared.contains(&digest) {
            return Err(Refusal::Undeclared(digest));
        }
        let search = self.0.find_manifest(name, digest, false);
        let found = self.0.in_time(name, digest, None, search).await;
        let (bytes, origin, manifest) = found.ok_or(Refusal::Manifest(digest))?;
        self.0.hit(name, origin);
        Ok(response::manifest_head(&digest, &manifest.media_type, bytes.len()))
    }

    async fn blob_head(&self, name: &Name, digest: Digest) -> Result<Response<Body>, Refusal> {
        let search = async {
            match self.0.local_size(&digest).await {
                Some(size) => Some((size, Origin::local)),
                None => Some((self.0.peer_size(&digest).await?, Origin::peer)),
            }
        };
        let found = self.0.in_time(name, digest, None, search).await;
        let (size, origin) = found.ok_or(Refusal::Blob(digest))?;
        self.0.hit(name, origin);
        Ok(response::blob(&digest, size, None, response::empty()))
    }

    async fn blob(
        &self,
        name: &Name,
        digest: Digest,
        range: ByteRange,
    ) -> Result<Response<Body>, Refusal> {
        if name.by_containerd && range == ByteRange::From(0) {
            self.0.in_pieces.insert(digest, (), Instant::now());
        }
        // Boxed, because it is moved through every wait that it may meet.
        let search = Box::pin(async {
            if let Some(answer) = self.0.taken_up(name, digest, range) {
                return Some(Ok(answer));
            }
            if self.0.left_to_registry.get(&digest, Instant::now()).is_some() {
                return None;
            }
            if let Some(size) = self.0.local_size(&digest).await
                && let Some(answer) = self.0.local_blob(name, digest, size, range).await.transpose()
            {
                return Some(answer);
            }
            self.0.peer_blob(name, digest, range).await.map(Ok)
        });
        let search = self.0.blob_in_turn(name, digest, range, search);
        let found = self.0.in_time(name, digest, range.first(), search).await;
        found.unwrap_or(Err(Refusal::Blob(digest)))
    }
}

// === impl Inner ===

impl Inner {
    /// A manifest of this node or its peers, where it came from, and what it says.
    async fn find_manifest(
        &self,
        name: &Name,
        digest: Digest,
        kept: bool,
    ) -> Option<(Bytes, Origin, Manifest)> {
        let (bytes, origin) = match self.local_manifest(&digest).await {
            Some(bytes) => (bytes, Origin::local),
            None => (self.peer_manifest(name, digest, kept).await?, Origin::peer),
        };
        let manifest = Manifest::parse(&bytes)?;
        Some((bytes, origin, manifest))
    }

    /// What `search` finds within the request's deadline. Nothing is a miss.
    async fn in_time<T>(
        &self,
        name: &Name,
        digest: Digest,
        first: Option<u64>,
        search: impl Future<Output = Option<T>>,
    ) -> Option<T> {
        let found = timeout(self.first_byte, search).await.ok().flatten();
        if found.is_none() {
            self.miss(name, digest, first);
        }
        found
    }
}
