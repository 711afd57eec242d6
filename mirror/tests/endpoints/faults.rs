//! Peers that break off, stall, answer nonsense or nothing: the runtime gets right bytes or a clean
//! end, and goes on from the registry.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    evil::{answer, broken, evil_counted, peer_until, stalled, trickling, whole},
    support::{Node, QUICK, announce, ask, blob, evil_peer, noise},
};
use http::{Response, StatusCode};
use onepull_mirror::{
    Deadlines, Digest, metrics::Origin, response::Body, router::MemoryNetwork, store::READ_CHUNK,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};
use tokio_util::task::TaskTracker;

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
        let rest = (bytes.len() - READ_CHUNK - 7) as u64;
        assert_eq!(holder.metrics.sent_to_peers.get(), rest);
        assert_eq!(node.metrics.switches.get(), 1);
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
    const BLOB: usize = 96 * 1024 * 1024;
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let digest = holder.hold(&noise(BLOB, 9)).await;

    let mut idle = tokio::net::TcpStream::connect(node.mirror).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", blob(&digest));
    idle.write_all(request.as_bytes()).await.unwrap();
    let answer = ask(node.mirror, "GET", &blob(&digest), &[]).await;
    assert_eq!((answer.complete, answer.body.len()), (true, BLOB), "others are served meanwhile");

    // What the buffers of two connections took, which a kernel lets grow by tens of MiB, and the chunks
    // between them.
    let held = holder.metrics.sent_to_peers.get() - BLOB as u64;
    assert!(
        held < BLOB as u64 * 2 / 3,
        "{held} bytes are under way for a reader that reads nothing"
    );
}

#[tokio::test]
async fn a_frozen_peer_costs_one_deadline_and_not_one_for_each_blob() {
    let digests = [b"a", b"b", b"c"].map(|bytes| Digest::sha256(bytes));
    for answers in [false, true] {
        let network = MemoryNetwork::default();
        let node = Node::start(&network).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let frozen = evil_peer(&network, digests[0], move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                if !answers {
                    std::future::pending::<()>().await;
                }
                answer(0, 1000, stalled(Vec::new()))
            }
        })
        .await;
        for digest in digests {
            announce(&network, frozen, digest).await;
            assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "it answers: {answers}");
    }
}

#[tokio::test]
async fn a_peer_that_closes_a_connection_unanswered_is_asked_again() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    TaskTracker::new().spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            // It is sent claims as well.
            if connection.read_u8().await.unwrap() == b'G' {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for digest in [b"a", b"b"].map(|bytes| Digest::sha256(bytes)) {
        announce(&network, peer, digest).await;
        assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_peer_that_trickles_holds_a_request_no_longer_than_its_deadline() {
    let network = MemoryNetwork::default();
    let deadlines = Deadlines { trickle: 2 * QUICK.first_byte, ..QUICK };
    let node = Node::start_as(&network, deadlines, |store| store, |router| Arc::new(router)).await;
    let digest = Digest::sha256(b"nobody has this");
    evil_counted(&network, digest, |_| answer(0, 1000, trickling())).await;

    let start = Instant::now();
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
    let held = start.elapsed();
    assert!(held >= QUICK.first_byte && held < QUICK.first_byte * 2, "{held:?}");
    let labels = node.metrics.served(Origin::peer, "registry.example");
    let received = node.metrics.received.get_or_create(&labels).get();
    assert!(received > 0, "what came is counted, though nobody got it");
}
