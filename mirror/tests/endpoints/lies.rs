//! Peers that lie: about bytes, about sizes. The liar is asked no more, the honest are.

use std::{sync::atomic::Ordering, time::Duration};

use http::StatusCode;
use onepull_mirror::{Digest, router::MemoryNetwork, store::READ_CHUNK};

use crate::{
    evil::{answer, evil_counted, whole},
    support::{Node, evil_peer, later, manifest, noise},
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
