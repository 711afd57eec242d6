//! Who coordinates what: another node for each digest, the same in everybody's eyes.

use async_trait::async_trait;
use futures::stream::BoxStream;
use onepull_mirror::{Digest, Peer, Router, router::MemoryRouter};

/// A table in memory that knows neither partitions nor deaths: a node that is gone stays in it, as it
/// does in a real one for a while, and has to be found silent.
pub(crate) struct SharedRouter(pub(crate) MemoryRouter);

// === impl SharedRouter ===

#[async_trait]
impl Router for SharedRouter {
    fn ready(&self) -> bool {
        self.0.ready()
    }

    fn find(&self, digest: &Digest) -> BoxStream<'static, Peer> {
        self.0.find(digest)
    }

    async fn announce(&self, digest: &Digest) {
        self.0.announce(digest).await;
    }

    async fn withdraw(&self, digest: &Digest) {
        self.0.withdraw(digest).await;
    }

    fn closest(&self, digest: &Digest) -> Vec<Peer> {
        let mut peers = self.0.closest(digest);
        peers.sort_by_key(|peer| distance(digest, peer));
        peers
    }
}

/// How far a node is from a digest.
pub(crate) fn distance(digest: &Digest, peer: &Peer) -> Vec<u8> {
    let node = Digest::sha256(peer.endpoint.to_string().as_bytes());
    node.as_bytes().iter().zip(digest.as_bytes()).map(|(one, other)| one ^ other).collect()
}
