//! Peers that lie: about bytes, about sizes. The liar is asked no more, the honest are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use onepull_mirror::{Digest, router::MemoryNetwork, store::READ_CHUNK};
use tokio::time::sleep;

use crate::{
    evil::{absent, answer, broken, evil_counted, whole},
    support::{Node, ask, blob, evil_peer, later, manifest, noise},
};

/// How long a blob whose stream broke is left to the registry.
const LEFT_TO_REGISTRY: Duration = Duration::from_secs(10);

#[tokio::test]
async fn wrong_bytes_never_complete_and_their_peer_is_not_asked_again() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(4 * READ_CHUNK, 4);
    let digest = Digest::sha256(&bytes);
    let mut wrong = bytes.clone();
    wrong[READ_CHUNK] ^= 1;
    let wrong = move |_| answer(0, wrong.len(), whole(wrong.clone()));
    let asked = evil_counted(&network, digest, wrong).await;

    let answer = node.get_blob(&digest).await;
    assert!(!answer.complete && answer.body.len() < bytes.len());
    assert_eq!(node.metrics.verification_failures.get(), 1);

    let holder = Node::start(&network).await;
    holder.hold(&bytes).await;
    let answer = node.get_blob(&digest).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "the registry has its turn");

    later(LEFT_TO_REGISTRY).await;
    let answer = node.get_blob(&digest).await;
    assert!(answer.complete && answer.body == bytes);
    let head = ask(node.mirror, "HEAD", &blob(&digest), &[]).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_small_blob_with_wrong_bytes_costs_only_the_question_to_the_next_peer() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(1000, 5);
    let digest = Digest::sha256(&bytes);
    let mut asked = Vec::new();
    for wrong in [vec![0; 1000], vec![1; 10], vec![2; 5000]] {
        let wrong = move |_| answer(0, wrong.len(), whole(wrong.clone()));
        asked.push(evil_counted(&network, digest, wrong).await);
    }
    let holder = Node::start(&network).await;
    holder.hold(&bytes).await;

    for _ in 0..2 {
        let answer = node.get_blob(&digest).await;
        assert!(answer.complete && answer.body == bytes);
    }
    let asked: Vec<_> = asked.iter().map(|asked| asked.load(Ordering::Relaxed)).collect();
    assert_eq!(asked, [1, 1, 1]);
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
async fn a_peer_that_claims_a_length_of_zero_is_asked_once() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(READ_CHUNK, 10);
    let digest = Digest::sha256(&bytes);
    let asked = evil_counted(&network, digest, |_| answer(0, 0, whole(Vec::new()))).await;
    let holder = Node::start(&network).await;
    holder.hold(&bytes).await;

    for _ in 0..2 {
        let answer = node.get_blob(&digest).await;
        assert!(answer.complete && answer.body == bytes);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(node.metrics.verification_failures.get(), 1);
}

#[tokio::test]
async fn the_empty_blob_comes_from_a_peer_like_any_other() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let digest = holder.hold(b"").await;
    let answer = node.get_blob(&digest).await;
    assert_eq!((answer.status, answer.complete, answer.body), (StatusCode::OK, true, Vec::new()));
}

#[tokio::test]
async fn a_crowd_of_liars_costs_a_bounded_number_of_questions() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let digest = Digest::sha256(b"nobody has this");
    for _ in 0..12 {
        evil_counted(&network, digest, |_| answer(0, 5, whole(b"wrong".to_vec()))).await;
    }
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND);
    assert_eq!(node.metrics.verification_failures.get(), 8);
}

#[tokio::test]
async fn a_copy_that_its_disk_has_changed_is_served_to_nobody_once_it_was_doubted() {
    let network = MemoryNetwork::default();
    let nodes = [Node::start(&network).await, Node::start(&network).await];
    let holder = Node::start(&network).await;
    let (changed, sound) = (noise(4 * READ_CHUNK, 61), noise(4 * READ_CHUNK, 62));
    let digests = [holder.hold(&changed).await, holder.hold(&sound).await];
    let mut bytes = changed.clone();
    bytes[READ_CHUNK] ^= 1;
    std::fs::write(holder.store.blob(&digests[0]), &bytes).unwrap();

    assert!(!nodes[0].get_blob(&digests[0]).await.complete);
    while holder.metrics.damaged.get() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(nodes[1].get_blob(&digests[0]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(nodes[1].metrics.verification_failures.get(), 0);
    let path = format!("/peer/v1/blobs/{}", digests[0]);
    for headers in [&[][..], &[("onepull-follower", "127.0.0.1:1")]] {
        assert_eq!(ask(holder.peer, "GET", &path, headers).await.status, StatusCode::NOT_FOUND);
    }

    // The doubts of somebody who lies, or had the wrong bytes elsewhere.
    let path = format!("/peer/v1/doubts/{}", digests[1]);
    assert_eq!(ask(holder.peer, "POST", &path, &[]).await.status, StatusCode::OK);
    sleep(Duration::from_millis(300)).await;
    let answer = nodes[1].get_blob(&digests[1]).await;
    assert!(answer.complete && answer.body == sound);
    assert_eq!(holder.metrics.damaged.get(), 1);
}

#[tokio::test]
async fn a_size_that_no_byte_followed_costs_no_honest_peer_its_name() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(3 * READ_CHUNK, 11);
    let digest = Digest::sha256(&bytes);
    let asked = evil_counted(&network, digest, |_| answer(0, 5, broken(Vec::new()))).await;
    let holder = Node::start(&network).await;
    holder.hold(&bytes).await;

    let answer = node.get_blob(&digest).await;
    assert!(answer.complete && answer.body == bytes);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "it was asked first");
}

#[tokio::test]
async fn a_peer_that_contradicts_a_liar_is_asked_again() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(3 * READ_CHUNK, 12);
    let digest = Digest::sha256(&bytes);
    let part = bytes[..2 * READ_CHUNK].to_vec();
    let first = Arc::new(AtomicBool::new(true));
    evil_counted(&network, digest, move |_| {
        if first.swap(false, Ordering::Relaxed) {
            answer(0, 5 * READ_CHUNK, broken(part.clone()))
        } else {
            absent()
        }
    })
    .await;
    let holder = Node::start(&network).await;
    holder.hold(&bytes).await;

    assert!(!node.get_blob(&digest).await.complete);
    later(LEFT_TO_REGISTRY).await;
    let answer = node.get_blob(&digest).await;
    assert!(answer.complete && answer.body == bytes);
}

#[tokio::test]
async fn the_last_bytes_come_only_from_a_peer_that_agrees_on_the_size() {
    let network = MemoryNetwork::default();
    let node = Node::start(&network).await;
    let bytes = noise(200, 13);
    let digest = Digest::sha256(&bytes);
    evil_counted(&network, digest, |request| match *request.method() {
        Method::HEAD => answer(0, 100, whole(vec![0; 100])),
        _ => absent(),
    })
    .await;
    let holder = Node::start(&network).await;
    holder.hold(&bytes).await;

    for range in ["bytes=-9", "bytes=-150"] {
        let answer = node.get(&blob(&digest), &[("range", range)]).await;
        assert_eq!((answer.status, answer.complete), (StatusCode::NOT_FOUND, true), "{range}");
    }
}

#[tokio::test]
async fn a_peer_cannot_lie_to_a_head_about_a_size_that_a_manifest_told() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let digest = holder.hold(b"the right bytes").await;
    let json = format!(r#"{{"schemaVersion":2,"layers":[{{"digest":"{digest}","size":15}}]}}"#);
    let manifest_digest = holder.hold(json.as_bytes()).await;
    assert_eq!(node.get(&manifest(&manifest_digest), &[]).await.status, StatusCode::OK);
    let asked = evil_counted(&network, digest, |_| answer(0, 5, whole(vec![0; 5]))).await;

    for _ in 0..2 {
        let head = ask(node.mirror, "HEAD", &blob(&digest), &[]).await;
        assert_eq!(head.headers["content-length"], "15");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
