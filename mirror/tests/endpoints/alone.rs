//! Misses of blobs of which nobody knows anybody.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use http::StatusCode;
use onepull_mirror::{
    Digest, Peer, Router,
    router::{MemoryNetwork, MemoryRouter},
};

use crate::support::{Node, QUICK, noise};

/// A router whose searches are counted, and that may be in doubt.
struct Counted {
    router: MemoryRouter,
    searches: Arc<AtomicUsize>,
    is_in_doubt: bool,
}

#[async_trait]
impl Router for Counted {
    fn ready(&self) -> bool {
        true
    }

    fn find(&self, digest: &Digest) -> BoxStream<'static, Peer> {
        self.searches.fetch_add(1, Ordering::Relaxed);
        self.router.find(digest)
    }

    async fn announce(&self, digest: &Digest) {
        self.router.announce(digest).await;
    }

    async fn withdraw(&self, digest: &Digest) {
        self.router.withdraw(digest).await;
    }

    fn closest(&self, digest: &Digest) -> Vec<Peer> {
        self.router.closest(digest)
    }

    fn knows_of_nobody(&self, digest: &Digest) -> bool {
        !self.is_in_doubt && self.router.knows_of_nobody(digest)
    }
}

/// The coordinator of everything and another node, of which some are in doubt, and how often each has
/// searched.
async fn two(in_doubt: [bool; 2]) -> [(Node, Arc<AtomicUsize>); 2] {
    let network = MemoryNetwork::default();
    let mut nodes: Vec<_> = Vec::new();
    for is_in_doubt in in_doubt {
        let searches = Arc::<AtomicUsize>::default();
        let counted = |router| Counted { router, searches: Arc::clone(&searches), is_in_doubt };
        let routed = |router| Arc::new(counted(router)) as Arc<dyn Router>;
        nodes.push((Node::start_as(&network, QUICK, |store| store, routed).await, searches));
    }
    // The one with the lowest address.
    nodes.sort_by_key(|(node, _)| node.peer);
    nodes.try_into().unwrap_or_else(|_| unreachable!())
}

async fn searches((node, searches): &(Node, Arc<AtomicUsize>), digest: &Digest) -> usize {
    let before = searches.load(Ordering::Relaxed);
    assert_eq!(node.get_blob(digest).await.status, StatusCode::NOT_FOUND);
    searches.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn where_two_nodes_know_of_nobody_none_is_searched_for() {
    let [coordinator, node] = two([false, false]).await;
    assert_eq!(searches(&node, &Digest::sha256(b"nobody has it")).await, 0);
    let alone = searches(&coordinator, &Digest::sha256(b"nor this")).await;
    assert_eq!(alone, 1, "the coordinator is one node, not two");
}

#[tokio::test]
async fn a_doubt_of_either_makes_a_search() {
    let unknown = Digest::sha256(b"nobody has it");
    for in_doubt in [[true, false], [false, true], [true, true]] {
        let [_coordinator, node] = two(in_doubt).await;
        assert_eq!(searches(&node, &unknown).await, 1, "{in_doubt:?}");
    }
}

#[tokio::test]
async fn a_coordinator_that_holds_a_blob_makes_others_search() {
    let [(coordinator, _), node] = two([false, false]).await;
    let bytes = noise(5000, 71);
    let digest = Digest::sha256(&bytes);
    let mut writer = coordinator.store.write(digest).await.unwrap();
    writer.append(&bytes).await.unwrap();
    writer.commit().await.unwrap();
    assert_eq!(searches(&node, &digest).await, 1, "it is not announced yet");
}
