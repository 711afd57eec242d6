//! Fetching ahead of any pull, and pulls of declared images.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use http::StatusCode;
use onepull_mirror::{
    Digest,
    router::MemoryNetwork,
    warm::{Ahead, Arriving, WarmError},
};
use tokio::time::timeout;

use crate::support::{Node, ask, manifest, noise};

/// A fetch that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(30);

const INDEX: &[u8] = br#"{"schemaVersion":2,"manifests":[]}"#;
const MANIFEST: &[u8] = br#"{"schemaVersion":2,"layers":[]}"#;

fn ahead(digest: Digest, size: usize) -> Ahead {
    Ahead { digest, size: size as u64, registry: "registry.example".into() }
}

async fn all(arriving: Arriving) -> Vec<u8> {
    timeout(LIMIT, arriving.try_collect::<Vec<_>>()).await.unwrap().unwrap().concat()
}

#[tokio::test]
async fn head_is_answered_for_declared_manifests_alone() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let (index, platform) = (node.hold(INDEX).await, holder.hold(MANIFEST).await);
    let head = async |digest: &Digest| ask(node.mirror, "HEAD", &manifest(digest), &[]).await;
    assert_eq!(head(&index).await.status, StatusCode::NOT_FOUND);

    node.warm.declared().replace([index]);
    let local = head(&index).await;
    assert_eq!((local.status, local.body.len()), (StatusCode::OK, 0));
    assert_eq!(local.headers["content-length"], INDEX.len().to_string().as_str());
    assert_eq!(local.headers["docker-content-digest"], index.to_string().as_str());
    assert_eq!(local.headers["content-type"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(head(&platform).await.status, StatusCode::NOT_FOUND, "not known for its child yet");

    node.warm.declared().choose(&index, platform);
    let remote = head(&platform).await;
    assert_eq!(remote.status, StatusCode::OK, "from a peer");
    assert_eq!(remote.headers["content-length"], MANIFEST.len().to_string().as_str());

    let nobodys = Digest::sha256(b"declared, and nowhere");
    node.warm.declared().replace([nobodys]);
    assert_eq!(head(&nobodys).await.status, StatusCode::NOT_FOUND, "the registry decides");
}

#[tokio::test]
async fn a_pull_that_begins_is_noticed_by_the_manifest_that_it_asks_for() {
    let node = Node::start(&MemoryNetwork::default()).await;
    let index = node.hold(INDEX).await;
    node.warm.declared().replace([index]);
    let mut asked = node.warm.asked();
    ask(node.mirror, "HEAD", &manifest(&index), &[]).await;
    assert!(asked.is_empty(), "a HEAD may be anybody's look");
    node.get(&manifest(&index), &[]).await;
    assert_eq!(asked.recv().await, Ok(index));
}

#[tokio::test]
async fn who_may_not_lead_finds_holders_that_no_coordinator_knows() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let bytes = noise(3 << 20, 1);
    let digest = holder.hold(&bytes).await;
    for first in [0, 1 << 20] {
        let stream = node.warm.stream(&ahead(digest, bytes.len()), first as u64).await.unwrap();
        assert!(all(stream).await == bytes[first..]);
    }
    let json = holder.hold(MANIFEST).await;
    assert_eq!(node.warm.manifest(json, "registry.example").await.unwrap(), MANIFEST);
}

#[tokio::test]
async fn who_may_not_lead_waits_until_there_is_a_source() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let bytes = noise(2 << 20, 2);
    let wanted = ahead(Digest::sha256(&bytes), bytes.len());
    let nobody = node.warm.stream(&wanted, 0).await.err();
    assert_eq!(nobody, Some(WarmError::NoSource(wanted.digest)));

    let waiting = timeout(LIMIT, node.warm.stream(&wanted, 0));
    let (stream, _) = tokio::join!(waiting, holder.hold(&bytes));
    assert!(all(stream.unwrap().unwrap()).await == bytes);
}

#[tokio::test]
async fn who_may_not_lead_follows_the_lead_in_flight_and_others_follow_it() {
    let network = MemoryNetwork::default();
    let lead = Node::start(&network).await;
    let nodes = [Node::start(&network).await, Node::start(&network).await];
    let bytes = noise(6 << 20, 3);
    let digest = Digest::sha256(&bytes);
    assert_eq!(lead.get_blob(&digest).await.status, StatusCode::NOT_FOUND, "it leads");
    let size = bytes.len() as u64;
    let mut writer = lead.store.write(digest).await.unwrap().with_total(size);
    writer.append(&bytes[..4 << 20]).await.unwrap();

    let follow = async |node: &Node| {
        let mut stream = node.warm.stream(&ahead(digest, bytes.len()), 0).await.unwrap();
        let mut copy = node.store.write(digest).await.unwrap().with_total(size);
        while let Some(piece) = stream.next().await {
            copy.append(&piece.unwrap()).await.unwrap();
        }
        copy.commit().await.unwrap();
    };
    let rest = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        writer.append(&bytes[4 << 20..]).await.unwrap();
        writer.commit().await.unwrap();
    };
    let both = async { tokio::join!(follow(&nodes[0]), follow(&nodes[1]), rest) };
    timeout(LIMIT, both).await.unwrap();
    let leads: u64 = [&lead, &nodes[0], &nodes[1]].iter().map(|it| it.metrics.leads.get()).sum();
    assert_eq!(leads, 1, "nobody else was told to go to the registry");
}
