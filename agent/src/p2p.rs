//! The router over libp2p's Kademlia: who else holds a digest, without a tracker.
//!
//! Every node is a full member of the DHT. The key of a digest is its raw hash; a holder leaves a
//! provider record with the 20 nodes closest to it, for minutes, and renews it. Where a peer's peer
//! endpoint is, and its zone, it says itself when it is identified. Nodes find each other through
//! any address of any node; no peer id has to be known.
//!
//! One task owns the swarm and all state; a [`Libp2pRouter`] sends it commands and reads a snapshot
//! of the live peers. Nothing here trusts a peer with more than being asked for a digest: what it
//! then sends is verified by whoever asked.

mod address;
mod agent_version;
mod announcements;
mod behaviour;
mod bootstrap;
mod host_port;
mod identity;
mod listen;
mod looks;
mod lookups;
mod metrics;
mod node;
mod patience;
mod provider_store;
mod reach;
mod rendezvous;
mod roster;
mod router;
mod transport;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use libp2p::{identity::Keypair, noise};
use onepull_mirror::Peer;
use thiserror::Error;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use host_port::{HostPort, ParseHostPortError};
pub use identity::IdentityError;
pub use listen::ListenError;
pub use metrics::RouterMetrics;
pub use rendezvous::{Patience, Rendezvous};
pub use router::Libp2pRouter;

use agent_version::AgentVersion;
use roster::Placed;
use router::Records;

/// How long a provider record lives where it was placed. A node that is gone for good is still
/// found for this long, at the price of one refused connection; renewing costs each holder some 40
/// small messages per digest and third of it.
pub const DEFAULT_RECORD_TTL: Duration = Duration::from_secs(10 * 60);

/// Starts this node's part of the DHT.
#[derive(Debug)]
pub struct P2p;

/// What a node's part of the DHT needs to know.
#[derive(Clone, Debug)]
pub struct P2pConfig {
    /// The file of this node's key, made when it is missing; `None` for a new key at each start.
    pub identity: Option<PathBuf>,
    /// Where to listen; port 0 for any. `[::]` listens on IPv4 too.
    pub listen: SocketAddr,
    /// The address at which other nodes reach this one.
    pub advertise: IpAddr,
    /// The port of this node's peer endpoint, at the same address.
    pub peer_endpoint_port: u16,
    /// This node's failure domain.
    pub zone: Option<String>,
    /// Other nodes' listeners. This node's own may be among them.
    pub bootstrap: Vec<HostPort>,
    /// What all nodes of the DHT know and nobody else; without one it is open to everybody.
    pub pre_shared: Option<[u8; 32]>,
    /// Who knows other nodes, beside those.
    pub rendezvous: Option<Arc<dyn Rendezvous>>,
    /// How long this node keeps others' provider records. Its own are renewed at a third of it.
    pub record_ttl: Duration,
}

/// Why the DHT cannot start.
#[derive(Debug, Error)]
pub enum P2pError {
    /// No key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The key is of a kind that libp2p's encryption does not take.
    #[error("the identity cannot be used for encryption")]
    Key(#[from] noise::Error),
    /// The zone's name would not survive the way to the peers.
    #[error("{0:?} is not a zone: use 1 to 63 letters, digits, '-', '_' and '.' (--zone)")]
    BadZone(String),
    /// Nobody could reach this node.
    #[error(
        "{0} is not an address that other nodes can reach: name this node's with --advertise-ip"
    )]
    BadAdvertise(IpAddr),
    /// There is no listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

// === impl P2pConfig ===

impl P2pConfig {
    /// A node without a zone, a kept identity or bootstrap addresses.
    pub fn new(listen: SocketAddr, advertise: IpAddr, peer_endpoint_port: u16) -> Self {
        Self {
            identity: None,
            listen,
            advertise,
            peer_endpoint_port,
            zone: None,
            bootstrap: Vec::new(),
            pre_shared: None,
            rendezvous: None,
            record_ttl: DEFAULT_RECORD_TTL,
        }
    }

    fn meeting_places(&self) -> Vec<Arc<dyn Rendezvous>> {
        let named = self.bootstrap.iter().map(|at| Arc::new(at.clone()) as Arc<dyn Rendezvous>);
        named.chain(self.rendezvous.clone()).collect()
    }

    fn agent_version(&self) -> Result<AgentVersion, P2pError> {
        let zone = self.zone.as_ref();
        let zone = zone.map(|zone| zone.parse().map_err(|_| P2pError::BadZone(zone.clone())));
        Ok(AgentVersion { peer_port: self.peer_endpoint_port, zone: zone.transpose()? })
    }

    fn keypair(&self) -> Result<Keypair, IdentityError> {
        match &self.identity {
            Some(path) => identity::load_or_create(path),
            None => Ok(Keypair::generate_ed25519()),
        }
    }
}

// === impl P2p ===

impl P2p {
    /// Listens, and runs on `tracker` until `cancel`. Does not wait for any other node: joining
    /// goes on by itself, see [`onepull_mirror::Router::ready`].
    ///
    /// # Errors
    /// Something that the operator has to change, and says what.
    pub async fn start(
        config: P2pConfig,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> Result<Libp2pRouter, P2pError> {
        if !address::is_reachable(config.advertise) {
            return Err(P2pError::BadAdvertise(config.advertise));
        }
        let agent_version = config.agent_version()?;
        let (key, pre_shared) = (config.keypair()?, config.pre_shared);
        let mut swarm = behaviour::swarm(&key, pre_shared, &agent_version, config.record_ttl)?;
        let listeners = listen::listen(&mut swarm, config.listen).await?;
        let advertised = SocketAddr::new(config.advertise, listeners.port);
        swarm.add_external_address(address::multiaddr(advertised));
        let bootstrap = config.meeting_places();
        let endpoint = SocketAddr::new(config.advertise, config.peer_endpoint_port);
        let placed = Placed::new(*swarm.local_peer_id(), Peer { endpoint, zone: config.zone });
        let local_addr = SocketAddr::new(config.listen.ip(), listeners.port);
        let republish = config.record_ttl / 3;
        let records = Records {
            others: swarm.behaviour_mut().kad.store_mut().others(),
            round: announcements::round(republish),
        };
        let (router, seat) = router::new(placed, local_addr, bootstrap.is_empty(), records);
        let mut me = listeners.addresses;
        me.insert(advertised);
        let node = node::Node::new(swarm, seat, me, bootstrap, republish);
        tracker.spawn(node.run(cancel));
        Ok(router)
    }
}
