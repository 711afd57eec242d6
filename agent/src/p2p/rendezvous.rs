//! Where nodes that do not know each other yet meet: an address that an operator wrote down, or a list that
//! somebody keeps.

use std::{fmt::Debug, io, net::SocketAddr};

use async_trait::async_trait;
use tokio::time::Duration;

use super::HostPort;

/// Knows nodes to join through. It is asked anew at each try.
#[async_trait]
pub trait Rendezvous: Debug + Send + Sync + 'static {
    /// The libp2p listeners of nodes, those to dial first first; the asking one may be among them.
    ///
    /// # Errors
    /// When it cannot be said now. Ends within seconds.
    async fn nodes(&self) -> io::Result<Vec<SocketAddr>>;

    /// How often it may be asked.
    fn patience(&self) -> Patience;
}

/// The longest waits between two questions; the first ones are shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// While the node knows no peer at all: its pulls all go to the registry, so joining late is expensive.
    pub lonely: Duration,
    /// While it has peers. It still asks, because two halves of a cluster that lost sight of each other
    /// meet again only where both look.
    pub joined: Duration,
}

// === impl HostPort ===

#[async_trait]
impl Rendezvous for HostPort {
    async fn nodes(&self) -> io::Result<Vec<SocketAddr>> {
        self.resolve().await
    }

    /// A refused connection is cheap, and so is a question to a name server.
    fn patience(&self) -> Patience {
        Patience { lonely: Duration::from_secs(5), joined: Duration::from_secs(60) }
    }
}
