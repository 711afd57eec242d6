//! Nodes on loopback: real sockets and HTTP, a folder store, an in-memory router; and peers that
//! misbehave. These are in the zone of every node and the nodes themselves in none, so that a node
//! asks them first.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use onepull_mirror::{
    Deadlines, Digest, Metrics, Mirror, Participant, Peer, PeerService, Router, Store, Warm,
    mirror::{DELIVERIES_WAITING, Delivery, Parts},
    participant::Seat,
    response::Body,
    router::{MemoryNetwork, MemoryRouter},
    server::{Serving, serve},
    sources::Lookup,
    store::FolderStore,
};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::evil::absent;

/// Short enough for a test that must wait for them, long enough for a loaded machine not to.
pub(crate) const QUICK: Deadlines = Deadlines {
    lookup: Duration::from_millis(200),
    lookup_unanswered: Duration::from_millis(10),
    answer: Duration::from_millis(500),
    stall: Duration::from_secs(1),
    trickle: Duration::from_millis(1500),
    pause: Duration::from_millis(500),
    claim: Duration::from_secs(2),
    claim_unanswered: Duration::from_millis(10),
    arrival: Duration::from_secs(3),
    turn: Duration::from_millis(30),
    still: Duration::from_secs(2),
    crowded: Duration::from_millis(250),
    first_byte: Duration::from_secs(3),
    ahead: Duration::from_millis(2500),
    starved: Duration::from_secs(10),
};

/// The zone that every node prefers.
const NEAR: &str = "near";

pub(crate) struct Node {
    pub(crate) mirror: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) store: Arc<FolderStore>,
    pub(crate) router: MemoryRouter,
    pub(crate) warm: Warm,
    pub(crate) metrics: Metrics,
    pub(crate) deliveries: mpsc::Receiver<Delivery>,
    shutdown: CancellationToken,
    _folder: tempfile::TempDir,
}

/// An answer as a client sees it; `complete` is false when the body broke off.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) complete: bool,
}

impl Node {
    pub(crate) async fn start(network: &MemoryNetwork) -> Self {
        Self::start_with(network, |store| store).await
    }

    /// A node whose mirror sees what `seen` makes of its store.
    pub(crate) async fn start_with(
        network: &MemoryNetwork,
        seen: impl FnOnce(Arc<FolderStore>) -> Arc<dyn Store>,
    ) -> Self {
        Self::start_as(network, QUICK, seen, |router| Arc::new(router)).await
    }

    /// A node with `deadlines`, and with what `routed` makes of its router.
    pub(crate) async fn start_as(
        network: &MemoryNetwork,
        deadlines: Deadlines,
        seen: impl FnOnce(Arc<FolderStore>) -> Arc<dyn Store>,
        routed: impl FnOnce(MemoryRouter) -> Arc<dyn Router>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open_or_create(folder.path()).unwrap());
        let metrics = Metrics::register(&mut Registry::default());
        let shutdown = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let me = Peer { endpoint: peer, zone: None };
        let router = network.join(me.clone());
        let routed = routed(router.clone());
        let participant = Participant::new(Seat {
            me,
            router: Arc::clone(&routed),
            store: store.clone(),
            tls: None,
            deadlines,
            metrics: metrics.clone(),
            tasks: TaskTracker::new(),
            running: shutdown.clone(),
        });
        let held = store.clone();
        let peers = PeerService::new(held, participant.clone(), metrics.clone(), None, &deadlines);
        serve_on(listener, &metrics, &shutdown, move |request| {
            let peers = peers.clone();
            async move { peers.answer(request).await }
        });
        let outside = Lookup::new(routed, Some(NEAR.into()), deadlines, metrics.clone());
        let (sender, deliveries) = mpsc::channel(DELIVERIES_WAITING);
        let mirror = Mirror::new(Parts {
            node: "test".into(),
            participant,
            store: seen(store.clone()),
            outside,
            deadlines,
            metrics: metrics.clone(),
            deliveries: sender,
            tasks: TaskTracker::new(),
        });
        let warm = mirror.warm();
        let mirror = listen(&metrics, &shutdown, move |request| {
            let mirror = mirror.clone();
            async move { mirror.answer(request).await }
        });
        let mirror = mirror.await;
        Self { mirror, peer, store, router, warm, metrics, deliveries, shutdown, _folder: folder }
    }

    /// Stores a blob and announces it.
    pub(crate) async fn hold(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let mut writer = self.store.write(digest).await.unwrap();
        writer.append(bytes).await.unwrap();
        writer.commit().await.unwrap();
        self.router.announce(&digest).await;
        digest
    }

    /// Ends its listeners and connections, as a power failure would but for the silence.
    pub(crate) fn die(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.mirror, "GET", path, headers).await
    }

    pub(crate) async fn get_blob(&self, digest: &Digest) -> Answer {
        self.get(&blob(digest), &[]).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn blob(digest: &Digest) -> String {
    format!("/v2/team/app/blobs/{digest}?ns=registry.example")
}

pub(crate) fn manifest(digest: &Digest) -> String {
    format!("/v2/team/app/manifests/{digest}?ns=registry.example")
}

/// Lets `duration` pass for everything in the test, at once.
pub(crate) async fn later(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

/// Bytes that no compression and no coincidence makes equal to others.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

/// A peer that answers every request for a blob with what `answer` makes, and coordinates nothing;
/// it claims to hold `digest`.
pub(crate) async fn evil_peer<F>(
    network: &MemoryNetwork,
    digest: Digest,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) -> SocketAddr
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let metrics = Metrics::register(&mut Registry::default());
    let answer = move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            match *request.method() {
                Method::POST => absent(),
                _ => answer(request).await,
            }
        }
    };
    // Never cancelled: the test's runtime ends the server.
    let endpoint = listen(&metrics, &CancellationToken::new(), answer).await;
    announce(network, endpoint, digest).await;
    endpoint
}

/// The misbehaving peer at `endpoint` claims to hold `digest` too.
pub(crate) async fn announce(network: &MemoryNetwork, endpoint: SocketAddr, digest: Digest) {
    network.join(Peer { endpoint, zone: Some(NEAR.into()) }).announce(&digest).await;
}

pub(crate) async fn listen<F>(
    metrics: &Metrics,
    shutdown: &CancellationToken,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) -> SocketAddr
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    serve_on(listener, metrics, shutdown, answer);
    address
}

pub(crate) fn serve_on<F>(
    listener: TcpListener,
    metrics: &Metrics,
    shutdown: &CancellationToken,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let serving = Serving::runtime(metrics.clone());
    TaskTracker::new().spawn(serve(listener, serving, answer, shutdown.clone()));
}

pub(crate) async fn ask(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("http://{server}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let mut bytes = Vec::new();
    let mut complete = true;
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame),
            Err(_) => complete = false,
        }
    }
    Answer { status: head.status, headers: head.headers, body: bytes, complete }
}
