//! Upload slots: a node serves a few streams well, and sends the rest to the next peer.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Response, StatusCode};
use onepull_mirror::{Digest, router::MemoryNetwork, store::READ_CHUNK};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    evil::whole,
    support::{Node, QUICK, announce, ask, evil_peer, later, noise},
};

/// More than the socket buffers between two nodes hold.
const BLOB: usize = 64 * 1024 * 1024;

/// What a node serves of one blob: a coordinator sends two, and one that waited for too long.
const FOLLOWERS: u16 = 3;

fn path(digest: &Digest) -> String {
    format!("/peer/v1/blobs/{digest}")
}

fn follower(number: u16) -> String {
    SocketAddr::from(([10, 0, 0, 1], number)).to_string()
}

/// A follower that has got its answer's first byte and reads no more.
async fn sleeper(parent: SocketAddr, digest: &Digest, number: u16) -> TcpStream {
    let mut stream = TcpStream::connect(parent).await.unwrap();
    let (path, me) = (path(digest), follower(number));
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nonepull-follower: {me}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    stream
}

#[tokio::test]
async fn a_follower_too_many_is_refused_until_a_slot_is_free() {
    let network = MemoryNetwork::default();
    let parent = Node::start(&network).await;
    let digest = parent.hold(&noise(BLOB, 21)).await;
    let mut sleepers = Vec::new();
    for number in 1..=FOLLOWERS {
        sleepers.push(sleeper(parent.peer, &digest, number).await);
    }
    let ask_as = async |number| {
        let me = follower(number);
        let headers = [("onepull-follower", me.as_str()), ("range", "bytes=0-9")];
        ask(parent.peer, "GET", &path(&digest), &headers).await.status
    };
    assert_eq!(ask_as(9).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask_as(1).await, StatusCode::PARTIAL_CONTENT, "it has a slot");
    let small = parent.hold(b"what a manifest is like").await;
    let small = ask(parent.peer, "GET", &path(&small), &[]).await.status;
    assert_eq!(small, StatusCode::OK, "what is sent at once costs no slot");
    let other = ask(parent.peer, "HEAD", &path(&digest), &[]).await.status;
    assert_eq!(other, StatusCode::OK, "a size costs no slot");

    drop(sleepers.pop());
    // The end of a connection is seen when its task runs next.
    while ask_as(9).await != StatusCode::PARTIAL_CONTENT {
        tokio::task::yield_now().await;
    }
    assert!(parent.metrics.uploads_refused.get() >= 1);
}

#[tokio::test]
async fn a_follower_that_does_not_read_loses_its_slot_to_one_that_does() {
    let network = MemoryNetwork::default();
    let parent = Node::start(&network).await;
    let digest = parent.hold(&noise(BLOB, 22)).await;
    let mut sleepers = Vec::new();
    for number in 1..=FOLLOWERS {
        sleepers.push(sleeper(parent.peer, &digest, number).await);
    }
    let me = follower(9);
    let headers = [("onepull-follower", me.as_str())];
    let refused = ask(parent.peer, "GET", &path(&digest), &headers).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);

    later(QUICK.stall).await;
    let served = ask(parent.peer, "GET", &path(&digest), &headers).await;
    assert!(served.status == StatusCode::OK && served.complete);
    let mut rest = Vec::new();
    let read = sleepers[0].read_to_end(&mut rest).await;
    assert!(read.is_err() || rest.len() < BLOB, "the sleeper's stream was ended");
}

#[tokio::test]
async fn a_busy_peer_is_passed_over_once_and_asked_again_for_the_next_blob() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let blobs = [noise(2 * READ_CHUNK, 23), noise(2 * READ_CHUNK, 24)];
    let digests = [holder.hold(&blobs[0]).await, holder.hold(&blobs[1]).await];
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let busy = evil_peer(&network, digests[0], move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Response::builder().status(503).body(whole(Vec::new())).unwrap() }
    })
    .await;
    announce(&network, busy, digests[1]).await;
    for (digest, bytes) in digests.iter().zip(&blobs) {
        let answer = node.get_blob(digest).await;
        assert!(answer.complete && answer.body == *bytes);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2, "it is neither banned nor unreachable");
}
