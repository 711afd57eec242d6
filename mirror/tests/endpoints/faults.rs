//! Peers that break, stall and lie: the runtime gets right bytes or a clean end, and goes on from
//! the registry.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::{Node, ask, blob, evil_peer, manifest, noise};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use onepull_mirror::{Digest, response::Body, router::MemoryNetwork, store::READ_CHUNK};
use tokio::io::AsyncWriteExt;

/// The first byte that a request's `Range` asks for.
fn first_byte<B>(request: &Request<B>) -> usize {
    let range = request.headers().get(header::RANGE).map(|value| value.to_str().unwrap());
    range.map_or(0, |range| {
        range.trim_start_matches("bytes=").split('-').next().unwrap().parse().unwrap()
    })
}

/// The head of a right answer for `total` bytes from `first`, and whatever body.
fn answer(first: usize, total: usize, body: Body) -> Response<Body> {
    let response = Response::builder().header(header::CONTENT_LENGTH, total - first);
    let response = if first == 0 {
        response
    } else {
        let range = format!("bytes {first}-{}/{total}", total - 1);
        response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range)
    };
    response.body(body).unwrap()
}

fn whole(bytes: Vec<u8>) -> Body {
    Full::from(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Sends `bytes`, then breaks off.
fn broken(bytes: Vec<u8>) -> Body {
    let chunk = stream::iter([Ok(Frame::data(Bytes::from(bytes)))]);
    let gone = stream::once(async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Err(std::io::ErrorKind::ConnectionReset.into())
    });
    BodyExt::boxed_unsync(StreamBody::new(chunk.chain(gone)))
}

/// Sends `bytes`, then nothing more.
fn stalled(bytes: Vec<u8>) -> Body {
    let chunk = stream::iter([Ok(Frame::data(Bytes::from(bytes)))]);
    BodyExt::boxed_unsync(StreamBody::new(chunk.chain(stream::pending())))
}

/// A peer that sends `bytes` up to `reach` and then ends as `end` does.
async fn peer_until(
    network: &MemoryNetwork,
    bytes: &[u8],
    reach: usize,
    end: impl Fn(Vec<u8>) -> Body + Clone + Send + Sync + 'static,
) {
    let bytes = Arc::new(bytes.to_vec());
    let digest = Digest::sha256(&bytes);
    evil_peer(network, digest, move |request| {
        let (bytes, end) = (Arc::clone(&bytes), end.clone());
        async move {
            let first = first_byte(&request);
            answer(first, bytes.len(), end(bytes[first..reach.max(first)].to_vec()))
        }
    })
    .await;
}

#[tokio::test]
async fn the_next_peer_goes_on_at_the_byte_where_one_broke_off() {
    for (seed, end) in [(1, broken as fn(Vec<u8>) -> Body), (2, stalled)] {
        let network = MemoryNetwork::default();
        let node = Node::start(&network).await;
        let bytes = noise(4 * READ_CHUNK, seed);
        peer_until(&network, &bytes, READ_CHUNK + 7, end).await;
        let holder = Node::start(&network).await;
        let digest = holder.hold(&bytes).await;

        let answer = node.get_blob(&digest).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.complete && answer.body == bytes);
        let sent = holder.metrics.sent_to_peers.get();
        // The router names peers in the order of their ports, so the broken one may come second.
        let (all, rest) = (bytes.len() as u64, (bytes.len() - READ_CHUNK - 7) as u64);
        assert!(sent == all || sent == rest, "{sent}");
        assert_eq!(node.metrics.switches.get(), u64::from(sent == rest));
    }
}

#[tokio::test]
async fn when_all_peers_vanish_the_answer_ends_early_and_the_resume_goes_to_the_registry() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(4 * READ_CHUNK, 3);
    peer_until(&network, &bytes, 2 * READ_CHUNK, broken).await;
    let digest = Digest::sha256(&bytes);

    let answer = node.get_blob(&digest).await;
    assert_eq!((answer.status, answer.complete), (StatusCode::OK, false));
    assert!(bytes.starts_with(&answer.body) && !answer.body.is_empty());
    assert_eq!(node.metrics.broken.get(), 1);

    let resume = format!("bytes={}-", answer.body.len());
    let answer = node.get(&blob(&digest), &[("range", &resume)]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn wrong_bytes_never_complete_and_their_peer_is_not_asked_again() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(4 * READ_CHUNK, 4);
    let digest = Digest::sha256(&bytes);
    let asked = Arc::new(AtomicUsize::new(0));
    let mut wrong = bytes.clone();
    wrong[READ_CHUNK] ^= 1;
    let count = Arc::clone(&asked);
    evil_peer(&network, digest, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let wrong = wrong.clone();
        async move { answer(0, wrong.len(), whole(wrong)) }
    })
    .await;

    let answer = node.get_blob(&digest).await;
    assert!(!answer.complete && answer.body.len() < bytes.len());
    assert_eq!(node.metrics.verification_failures.get(), 1);

    // A node that does hold it is found by the next pull, once the registry had its turn.
    let holder = Node::start(&network).await;
    holder.hold(&bytes).await;
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_small_blob_with_wrong_bytes_costs_only_the_question_to_the_next_peer() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(1000, 5);
    let digest = Digest::sha256(&bytes);
    for wrong in [vec![0; 1000], vec![1; 10], vec![2; 5000]] {
        evil_peer(&network, digest, move |_| {
            let wrong = wrong.clone();
            async move { answer(0, wrong.len(), whole(wrong)) }
        })
        .await;
    }
    let holder = Node::start(&network).await;
    holder.hold(&bytes).await;

    let answer = node.get_blob(&digest).await;
    assert!(answer.complete && answer.body == bytes);
}

#[tokio::test]
async fn a_peer_cannot_lie_about_a_size_that_a_manifest_told() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(3 * READ_CHUNK, 6);
    let digest = Digest::sha256(&bytes);
    let json = format!(
        r#"{{"schemaVersion":2,"layers":[{{"digest":"{digest}","size":{}}}]}}"#,
        bytes.len()
    );
    let holder = Node::start(&network).await;
    let manifest_digest = holder.hold(json.as_bytes()).await;
    assert_eq!(node.get(&manifest(&manifest_digest), &[]).await.status, StatusCode::OK);

    let longer = [&bytes[..], &[0; READ_CHUNK]].concat();
    evil_peer(&network, digest, move |_| {
        let longer = longer.clone();
        async move { answer(0, longer.len(), whole(longer)) }
    })
    .await;
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
    holder.hold(&bytes).await;
    let answer = node.get_blob(&digest).await;
    assert!(answer.complete && answer.body == bytes);
}

#[tokio::test]
async fn peers_that_answer_nonsense_or_nothing_are_passed_over() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(2 * READ_CHUNK, 7);
    let digest = Digest::sha256(&bytes);
    evil_peer(&network, digest, |_| async {
        Response::builder().status(500).body(whole(b"oops".to_vec())).unwrap()
    })
    .await;
    evil_peer(&network, digest, |_| async {
        let part = Response::builder().status(206).header("content-range", "bytes 5-9/3");
        part.body(whole(vec![0; 5])).unwrap()
    })
    .await;
    evil_peer(&network, digest, |_| std::future::pending()).await;
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_peer_that_is_gone_costs_no_pull() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let holder = Node::start(&network).await;
    let digest = holder.hold(&noise(READ_CHUNK, 8)).await;
    let endpoint = holder.peer;
    drop(holder);
    // The listener closes when its task has seen the shutdown.
    while tokio::net::TcpStream::connect(endpoint).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_a_bounded_part_of_the_blob() {
    const BLOB: usize = 64 * 1024 * 1024;
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let digest = holder.hold(&noise(BLOB, 9)).await;

    let mut idle = tokio::net::TcpStream::connect(node.mirror).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", blob(&digest));
    idle.write_all(request.as_bytes()).await.unwrap();
    let answer = ask(node.mirror, "GET", &blob(&digest), &[]).await;
    assert_eq!((answer.complete, answer.body.len()), (true, BLOB), "others are served meanwhile");

    // Socket buffers of three hops (up to 6 MiB each) and the chunks between them.
    let held = holder.metrics.sent_to_peers.get() - BLOB as u64;
    assert!(held < BLOB as u64 / 2, "{held} bytes are under way for a reader that reads nothing");
}
