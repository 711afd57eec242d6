//! A parent that trickles is left for a better one when the coordinator says so.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use onepull_mirror::{
    Digest, Metrics, Peer,
    claim::{
        Advice, Parent, Stage, Verdict,
        wire::{Advices, Answer, Ask, Report},
    },
    response::Body,
    router::MemoryNetwork,
};
use prometheus_client::registry::Registry;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    evil::{absent, answer, first_byte, whole},
    rigged::{Rigged, Search},
    support::{Node, QUICK, listen, noise},
};

const BLOB: usize = 4 << 20;

/// At this pace the blob takes over an hour.
const CRUMB: usize = 100;

/// What coordinates a blob and trickles it.
#[derive(Clone)]
struct Trickler {
    blob: Arc<Vec<u8>>,
    /// Who has all of it and is fast.
    holder: SocketAddr,
    /// How many crumbs it sent.
    sent: Arc<AtomicUsize>,
}

/// Right bytes from `first` on, ten times a second some.
fn crumbs(trickler: Trickler, first: usize) -> Body {
    let bytes = stream::unfold(first, move |at| {
        let Trickler { blob, sent, .. } = trickler.clone();
        async move {
            sleep(Duration::from_millis(100)).await;
            sent.fetch_add(1, Ordering::Relaxed);
            let crumb = Bytes::copy_from_slice(&blob[at..at + CRUMB]);
            Some((Ok(Frame::data(crumb)), at + CRUMB))
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(bytes))
}

/// Sends away whoever follows it and has some bytes from it.
async fn coordinate(trickler: &Trickler, request: Request<Incoming>) -> Body {
    let me: SocketAddr = request.headers()["host"].to_str().unwrap().parse().unwrap();
    let (head, body) = request.into_parts();
    let message = body.collect().await.unwrap().to_bytes();
    whole(if head.uri.path() == "/peer/v1/claims" {
        let Ask { claim, .. } = Ask::parse(&message).unwrap();
        let left = claim.lost.contains(&me);
        assert_eq!(left, claim.have > 0, "it goes on at its byte");
        let peer = Peer { endpoint: if left { trickler.holder } else { me }, zone: None };
        let parent = Parent { peer, have: BLOB as u64, complete: left };
        Answer::Verdict(Verdict::Follow(vec![parent])).to_json()
    } else {
        let Report(entries) = Report::parse(&message).unwrap();
        let some_came = trickler.sent.load(Ordering::Relaxed) > 2;
        let follows_me = |stage| stage == Stage::Following { parent: me };
        let advice =
            |stage| if some_came && follows_me(stage) { Advice::Move } else { Advice::CarryOn };
        Advices(entries.iter().map(|entry| advice(entry.state)).collect()).to_json()
    })
}

async fn start(trickler: Trickler) -> SocketAddr {
    let metrics = Metrics::register(&mut Registry::default());
    let answer = move |request: Request<Incoming>| {
        let trickler = trickler.clone();
        async move {
            match *request.method() {
                Method::POST => Response::new(coordinate(&trickler, request).await),
                Method::GET => {
                    let first = first_byte(&request);
                    answer(first, BLOB, crumbs(trickler, first))
                }
                _ => absent(),
            }
        }
    };
    // Never cancelled: the test's runtime ends the server.
    listen(&metrics, &CancellationToken::new(), answer).await
}

#[tokio::test]
async fn a_parent_that_trickles_is_left_at_its_byte_for_a_faster_one() {
    let network = MemoryNetwork::default();
    let bytes = Arc::new(noise(BLOB, 11));
    let holder = Node::start(&network).await;
    let digest: Digest = holder.hold(&bytes).await;
    let trickler = Trickler { blob: Arc::clone(&bytes), holder: holder.peer, sent: Arc::default() };
    let peer = Peer { endpoint: start(trickler).await, zone: None };
    let rigged = Rigged { coordinators: vec![peer.clone()], search: Search::FindsNobody, peer };
    let node = Node::start_as(&network, QUICK, |store| store, |_| Arc::new(rigged)).await;

    let pull = timeout(Duration::from_secs(20), node.get_blob(&digest));
    let answer = pull.await.expect("it does not wait for the crumbs");
    assert_eq!((answer.status, answer.complete), (StatusCode::OK, true));
    assert!(answer.body == *bytes);
    assert_eq!(node.metrics.moves.get(), 1);
    let rest = holder.metrics.sent_to_peers.get();
    assert!(rest > 0 && rest < BLOB as u64, "{rest} bytes from the better parent");
}

#[tokio::test]
async fn a_holder_that_trickles_is_left_to_the_registry_when_there_is_no_other() {
    let network = MemoryNetwork::default();
    let blob = Arc::new(noise(BLOB, 11));
    let digest = Digest::sha256(&blob);
    // Its own endpoint is nobody's holder here: only the search finds the trickler.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let trickler = Trickler { blob, holder: nobody, sent: Arc::default() };
    let peer = Peer { endpoint: start(trickler).await, zone: None };
    let rigged = Rigged { coordinators: Vec::new(), search: Search::FindsIt, peer };
    let node = Node::start_as(&network, QUICK, |store| store, |_| Arc::new(rigged)).await;

    let pull = timeout(Duration::from_secs(20), node.get_blob(&digest));
    let answer = pull.await.expect("it does not wait for the crumbs");
    assert_eq!((answer.status, answer.complete), (StatusCode::OK, false));
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
}
