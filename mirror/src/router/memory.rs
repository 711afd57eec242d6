//! A router for tests: all nodes share one table in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};

use super::{Peer, Router};
use crate::Digest;

/// The table that the routers of one test share.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    nodes: BTreeMap<SocketAddr, Option<String>>,
    providers: BTreeMap<Digest, BTreeSet<SocketAddr>>,
}

/// One node's view of a [`MemoryNetwork`].
#[derive(Clone, Debug)]
pub struct MemoryRouter {
    network: MemoryNetwork,
    me: SocketAddr,
}

// === impl MemoryNetwork ===

impl MemoryNetwork {
    /// Adds a node whose peer endpoint is `peer.endpoint`.
    pub fn join(&self, peer: Peer) -> MemoryRouter {
        self.lock().nodes.insert(peer.endpoint, peer.zone);
        MemoryRouter { network: self.clone(), me: peer.endpoint }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl MemoryRouter ===

impl MemoryRouter {
    fn is_other(&self, endpoint: &SocketAddr) -> bool {
        *endpoint != self.me
    }
}

impl Table {
    fn peers<'a>(&self, endpoints: impl IntoIterator<Item = &'a SocketAddr>) -> Vec<Peer> {
        let zone = |endpoint| self.nodes.get(endpoint).cloned().flatten();
        let peers = endpoints.into_iter();
        peers.map(|endpoint| Peer { endpoint: *endpoint, zone: zone(endpoint) }).collect()
    }
}

#[async_trait]
impl Router for MemoryRouter {
    fn ready(&self) -> bool {
        true
    }

    fn find(&self, digest: &Digest) -> BoxStream<'static, Peer> {
        let table = self.network.lock();
        let holders = table.providers.get(digest).into_iter().flatten();
        stream::iter(table.peers(holders.filter(|endpoint| self.is_other(endpoint)))).boxed()
    }

    async fn announce(&self, digest: &Digest) {
        self.network.lock().providers.entry(*digest).or_default().insert(self.me);
    }

    async fn withdraw(&self, digest: &Digest) {
        if let Some(providers) = self.network.lock().providers.get_mut(digest) {
            providers.remove(&self.me);
        }
    }

    /// Any order will do that all nodes agree on.
    fn closest(&self, _digest: &Digest) -> Vec<Peer> {
        let table = self.network.lock();
        table.peers(table.nodes.keys())
    }

    fn knows_of_nobody(&self, digest: &Digest) -> bool {
        let table = self.network.lock();
        let mut holders = table.providers.get(digest).into_iter().flatten();
        !holders.any(|endpoint| self.is_other(endpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::router::conforms;

    #[tokio::test]
    async fn the_memory_router_keeps_the_promises_of_a_router() {
        let network = MemoryNetwork::default();
        let node = |port| {
            let endpoint = SocketAddr::from(([127, 0, 0, 1], port));
            let router = network.join(Peer { endpoint, zone: None });
            (Arc::new(router) as Arc<dyn Router>, endpoint)
        };
        conforms([node(1), node(2), node(3)]).await;
    }
}
