//! A node whose coordinator, parents and searches all fail it, each in a way of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use onepull_mirror::{
    Deadlines, Digest, Metrics, Peer, Router,
    claim::{
        Parent, Verdict,
        wire::{Answer, Ask},
    },
    response::Body,
    router::MemoryNetwork,
};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    evil::{absent, answer, broken, first_byte, stalled, whole},
    support::{Node, blob, listen},
};

/// The size of every blob here, and how much of it a peer sends that stops halfway.
const BLOB: usize = 4 << 20;
const HALF: usize = BLOB / 2;

/// What a coordinator says to a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Nothing,
    NotYet,
    Lead,
    /// Follow the bad peer.
    Follow,
    /// The same, but only to the first claim; then lead.
    FollowOnce,
    /// Ask the bad peer, which is itself.
    AskMe,
}

pub(crate) const SAYS: [Says; 6] =
    [Says::Nothing, Says::NotYet, Says::Lead, Says::Follow, Says::FollowOnce, Says::AskMe];

/// What a peer sends of a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sends {
    /// Not even a head.
    Nothing,
    /// The head of an answer.
    Head,
    /// Half of the blob, and it stays connected.
    Half,
    /// Half of the blob, and it breaks off.
    HalfAndBreaks,
    Absent,
    NotAhead,
    Busy,
}

pub(crate) const SENDS: [Sends; 7] = [
    Sends::Nothing,
    Sends::Head,
    Sends::Half,
    Sends::HalfAndBreaks,
    Sends::Absent,
    Sends::NotAhead,
    Sends::Busy,
];

/// What comes of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Search {
    NeverEnds,
    FindsNobody,
    /// The bad peer.
    FindsIt,
}

pub(crate) const SEARCHES: [Search; 3] = [Search::NeverEnds, Search::FindsNobody, Search::FindsIt];

/// A router that knows one peer.
pub(crate) struct Rigged {
    pub(crate) coordinators: Vec<Peer>,
    pub(crate) search: Search,
    pub(crate) peer: Peer,
}

/// What the runtime got, and how long it was kept waiting for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) status: StatusCode,
    pub(crate) bytes: usize,
    pub(crate) complete: bool,
    /// Until the head of the answer.
    pub(crate) head: Duration,
    /// The longest time without a byte after that.
    pub(crate) gap: Duration,
}

#[async_trait]
impl Router for Rigged {
    fn ready(&self) -> bool {
        true
    }

    fn find(&self, _: &Digest) -> BoxStream<'static, Peer> {
        match self.search {
            Search::NeverEnds => stream::pending().boxed(),
            Search::FindsNobody => stream::empty().boxed(),
            Search::FindsIt => stream::iter([self.peer.clone()]).boxed(),
        }
    }

    async fn announce(&self, _: &Digest) {}

    async fn withdraw(&self, _: &Digest) {}

    fn closest(&self, _: &Digest) -> Vec<Peer> {
        self.coordinators.clone()
    }
}

/// A node that knows `coordinators` bad peers, one of which may be found by a search.
pub(crate) async fn node(
    deadlines: Deadlines,
    coordinators: usize,
    says: Says,
    sends: Sends,
    search: Search,
) -> Node {
    let mut peers = Vec::new();
    for _ in 0..coordinators.max(1) {
        peers.push(Peer { endpoint: bad_peer(says, sends).await, zone: None });
    }
    let peer = peers[0].clone();
    peers.truncate(coordinators);
    let rigged = Rigged { coordinators: peers, search, peer };
    let network = MemoryNetwork::default();
    Node::start_as(&network, deadlines, |store| store, |_| Arc::new(rigged)).await
}

async fn bad_peer(says: Says, sends: Sends) -> SocketAddr {
    let metrics = Metrics::register(&mut Registry::default());
    let asked = Arc::new(AtomicBool::new(false));
    let answer = move |request: Request<hyper::body::Incoming>| {
        let asked = Arc::clone(&asked);
        async move {
            match (request.method(), request.uri().path()) {
                (&Method::POST, "/peer/v1/claims") => say(says, request, &asked).await,
                (&Method::POST, _) => absent(),
                _ => send(sends, first_byte(&request)).await,
            }
        }
    };
    // Never cancelled: the test's runtime ends the server.
    listen(&metrics, &CancellationToken::new(), answer).await
}

async fn say(
    says: Says,
    request: Request<hyper::body::Incoming>,
    asked: &AtomicBool,
) -> Response<Body> {
    let me: SocketAddr = request.headers()["host"].to_str().unwrap().parse().unwrap();
    let message = request.into_body().collect().await.unwrap().to_bytes();
    Ask::parse(&message).unwrap();
    let peer = Peer { endpoint: me, zone: None };
    let follow = Verdict::Follow(vec![Parent { peer, have: 0, complete: false }]);
    let said = match says {
        Says::Nothing => std::future::pending().await,
        Says::NotYet => Answer::Verdict(Verdict::NotYet),
        Says::Lead => Answer::Verdict(Verdict::Lead),
        Says::FollowOnce if asked.swap(true, Ordering::Relaxed) => Answer::Verdict(Verdict::Lead),
        Says::Follow | Says::FollowOnce => Answer::Verdict(follow),
        Says::AskMe => Answer::Redirect(me),
    };
    Response::new(whole(said.to_json()))
}

async fn send(sends: Sends, first: usize) -> Response<Body> {
    let half = || vec![0; HALF.saturating_sub(first)];
    let refuse = |status| Response::builder().status(status).body(whole(Vec::new())).unwrap();
    match sends {
        Sends::Nothing => std::future::pending().await,
        Sends::Head => answer(first, BLOB, stalled(Vec::new())),
        Sends::Half => answer(first, BLOB, stalled(half())),
        Sends::HalfAndBreaks => answer(first, BLOB, broken(half())),
        Sends::Absent => absent(),
        Sends::NotAhead => refuse(StatusCode::CONFLICT),
        Sends::Busy => refuse(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Asks a node for a blob as the runtime does.
pub(crate) async fn pull(node: &Node, digest: &Digest) -> Heard {
    let started = Instant::now();
    let request = Request::get(format!("http://{}{}", node.mirror, blob(digest)));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let (status, head) = (response.status(), started.elapsed());
    let mut heard = Heard { status, bytes: 0, complete: true, head, gap: Duration::ZERO };
    let (mut frames, mut last) = (response.into_body().into_data_stream(), Instant::now());
    while let Some(frame) = frames.next().await {
        heard.gap = heard.gap.max(last.elapsed());
        last = Instant::now();
        match frame {
            Ok(frame) => heard.bytes += frame.len(),
            Err(_) => heard.complete = false,
        }
    }
    heard
}
