//! The seam to who else holds a digest.

use std::net::SocketAddr;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::Digest;

mod memory;

pub use memory::{MemoryNetwork, MemoryRouter};

/// Another node: where its peer endpoint is and how near it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The address of its peer endpoint.
    pub endpoint: SocketAddr,
    /// Its failure domain, as its operator named it; `None` when nobody did.
    pub zone: Option<String>,
}

/// Finds the nodes that hold a digest, and tells them what this one holds.
#[async_trait]
pub trait Router: Send + Sync + 'static {
    /// Whether this node has joined: it knows at least one peer, or needs none.
    fn ready(&self) -> bool;

    /// Nodes that announced `digest`, without this one, as they are found. The stream ends when
    /// the search is exhausted; the caller brings the deadline.
    ///
    /// # Cancel safety
    /// Dropping the stream ends the search.
    fn find(&self, digest: &Digest) -> BoxStream<'static, Peer>;

    /// Makes this node findable for `digest` until [`Router::withdraw`]. It is kept announced;
    /// call once. Returns when the announcement was accepted, not when it has spread.
    async fn announce(&self, digest: &Digest);

    /// Takes an announcement back. Others may still find this node until the record expires, so a
    /// request for what is gone stays cheap.
    async fn withdraw(&self, digest: &Digest);

    /// The live nodes closest to `digest`, this one among them, nearest first, from what this node
    /// knows now; no network is asked. The first is the coordinator of its claims.
    fn closest(&self, digest: &Digest) -> Vec<Peer>;

    /// Whether this node would most likely know by now if another had announced `digest`, and knows of
    /// none. No network is asked; `false` in any doubt.
    fn knows_of_nobody(&self, _digest: &Digest) -> bool {
        false
    }
}
