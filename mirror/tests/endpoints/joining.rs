//! A node that has just joined, and knows few of its peers.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use http::StatusCode;
use onepull_mirror::{
    Digest, Peer, Router,
    router::{MemoryNetwork, MemoryRouter},
};

use crate::support::{Node, QUICK, noise};

/// A router that takes its own node for the closest to everything, and knows a few nodes.
struct Opinion {
    router: MemoryRouter,
    me: Arc<OnceLock<SocketAddr>>,
    known: usize,
}

#[async_trait]
impl Router for Opinion {
    fn ready(&self) -> bool {
        true
    }

    fn find(&self, digest: &Digest) -> BoxStream<'static, Peer> {
        self.router.find(digest)
    }

    async fn announce(&self, digest: &Digest) {
        self.router.announce(digest).await;
    }

    async fn withdraw(&self, digest: &Digest) {
        self.router.withdraw(digest).await;
    }

    fn closest(&self, digest: &Digest) -> Vec<Peer> {
        let mut closest = self.router.closest(digest);
        closest.sort_by_key(|peer| Some(&peer.endpoint) != self.me.get());
        closest.truncate(self.known);
        closest
    }
}

/// A node that takes itself for the coordinator of everything, and knows `known` nodes.
async fn self_centred(network: &MemoryNetwork, known: usize) -> Node {
    let me = Arc::new(OnceLock::new());
    let opinion = |router| Opinion { router, me: Arc::clone(&me), known };
    let routed = |router| Arc::new(opinion(router)) as Arc<dyn Router>;
    let node = Node::start_as(network, QUICK, |store| store, routed).await;
    me.set(node.peer).unwrap();
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_that_takes_itself_for_the_coordinator_still_joins_the_download_under_way() {
    let network = MemoryNetwork::default();
    let (lead, node) = (self_centred(&network, 1).await, self_centred(&network, 2).await);
    let bytes = noise(4 << 20, 41);
    let digest = Digest::sha256(&bytes);
    assert_eq!(lead.get_blob(&digest).await.status, StatusCode::NOT_FOUND, "it leads");
    let writer = lead.store.write(digest).await.unwrap();
    let mut writer = writer.with_total(bytes.len() as u64);
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    writer.append(first).await.unwrap();
    let arrives = async {
        writer.append(rest).await.unwrap();
        writer.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(node.get_blob(&digest), arrives);
    assert!(answer.status == StatusCode::OK && answer.complete && answer.body == bytes);
}
