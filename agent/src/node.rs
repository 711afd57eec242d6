//! One node of the cluster: a store, a router, and the listeners that serve both.
//!
//! The store is given: containerd's in the agent, a folder in the load test. All else is the same.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use onepull_admin::{ListenError, bind};
use onepull_mirror::{
    Deadlines, Metrics, Mirror, Participant, Peer, PeerService, Router, Store, Throttle, Warm,
    announce::announce,
    mirror::{DELIVERIES_WAITING, Delivery, Parts},
    participant::Seat,
    server::{self, Serving},
    sources::Lookup,
};
use prometheus_client::registry::Registry;
use rustls::time_provider::DefaultTimeProvider;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{Duration, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    cluster_key::{ClusterKey, Derived},
    p2p::{HostPort, Libp2pRouter, P2p, P2pConfig, P2pError, Rendezvous},
    peer_tls::{PeerTlsError, peer_tls},
};

/// How long running tasks may go on after the listeners have drained.
const STOP: Duration = Duration::from_secs(5);

/// How a node takes part.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name, in logs and transfer events.
    pub name: String,
    /// Where the container runtime asks; loopback.
    pub mirror_listen: SocketAddr,
    /// Where peers fetch blobs.
    pub peer_listen: SocketAddr,
    /// Where peers speak libp2p.
    pub p2p_listen: SocketAddr,
    /// The address peers reach this node at.
    pub advertise_ip: IpAddr,
    /// Peers to join through.
    pub bootstrap: Vec<HostPort>,
    /// Who knows peers, beside those.
    pub rendezvous: Option<Arc<dyn Rendezvous>>,
    /// Its failure domain.
    pub zone: Option<String>,
    /// What all nodes of its cluster have in common; without one, peers are spoken to in the clear,
    /// and so is everybody else.
    pub cluster_key: Option<ClusterKey>,
    /// The file with its libp2p key; without one every start makes a new peer.
    pub identity: Option<PathBuf>,
    /// Bytes per second that it sends to peers at most.
    pub upload: Option<u64>,
    /// How long requests wait for peers.
    pub deadlines: Deadlines,
}

/// Why a node did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The router could not be started.
    #[error(transparent)]
    P2p(#[from] P2pError),
    /// It has no proof for its peers.
    #[error(transparent)]
    PeerTls(#[from] PeerTlsError),
}

/// A running node.
pub struct Node {
    router: Libp2pRouter,
    metrics: Metrics,
    deliveries: mpsc::Sender<Delivery>,
    mirror: SocketAddr,
    peer: SocketAddr,
    warm: Warm,
    serving: CancellationToken,
    servers: TaskTracker,
    running: CancellationToken,
    tasks: TaskTracker,
}

// === impl Node ===

impl Node {
    /// Opens the listeners and joins the peers; does not wait for them. What the mirror delivers is
    /// told on the receiver, which may be dropped.
    ///
    /// # Errors
    /// When a listener cannot be opened or the identity cannot be read.
    pub async fn start(
        config: NodeConfig,
        store: Arc<dyn Store>,
        registry: &mut Registry,
    ) -> Result<(Self, mpsc::Receiver<Delivery>), StartError> {
        let key = config.cluster_key.as_ref();
        let tls = key.map(|key| peer_tls(key, Arc::new(DefaultTimeProvider))).transpose()?;
        let mirror = bind(config.mirror_listen, "--mirror-listen").await?;
        let peer = bind(config.peer_listen, "--peer-listen").await?;
        let (mirror_addr, peer_addr) = (local(&mirror)?, local(&peer)?);
        let (tasks, running) = (TaskTracker::new(), CancellationToken::new());
        let p2p = p2p_config(&config, peer_addr.port());
        let router = P2p::start(p2p, &tasks, running.clone()).await?;
        router.metrics().register(registry);
        let metrics = Metrics::register(registry);

        let (deliveries, delivered) = mpsc::channel(DELIVERIES_WAITING);
        let shared: Arc<dyn Router> = Arc::new(router.clone());
        let endpoint = SocketAddr::new(config.advertise_ip, peer_addr.port());
        let participant = Participant::new(Seat {
            me: Peer { endpoint, zone: config.zone.clone() },
            router: Arc::clone(&shared),
            store: Arc::clone(&store),
            tls: tls.clone(),
            deadlines: config.deadlines,
            metrics: metrics.clone(),
            tasks: tasks.clone(),
            running: running.clone(),
        });
        let (zone, deadlines) = (config.zone, config.deadlines);
        let service = Mirror::new(Parts {
            node: config.name,
            participant: Arc::clone(&participant),
            store: Arc::clone(&store),
            outside: Lookup::new(Arc::clone(&shared), zone, deadlines, metrics.clone()),
            deadlines,
            metrics: metrics.clone(),
            deliveries: deliveries.clone(),
            tasks: tasks.clone(),
        });
        let upload = config.upload.map(|rate| Arc::new(Throttle::new(rate)));
        let held = Arc::clone(&store);
        let peers = PeerService::new(held, participant, metrics.clone(), upload, &deadlines);
        tasks.spawn(running.clone().run_until_cancelled_owned(announce(store, shared)));

        let node = Self {
            router,
            metrics: metrics.clone(),
            deliveries,
            mirror: mirror_addr,
            peer: peer_addr,
            warm: service.warm(),
            serving: CancellationToken::new(),
            servers: TaskTracker::new(),
            running,
            tasks,
        };
        node.serve_runtime(mirror, metrics.clone(), service);
        node.serve_peers(peer, Serving::peers(metrics, tls.map(|tls| tls.server)), peers);
        Ok((node, delivered))
    }

    /// Where the mirror listens.
    pub fn mirror_addr(&self) -> SocketAddr {
        self.mirror
    }

    /// Where peers fetch blobs.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The way to the other nodes.
    pub fn router(&self) -> &Libp2pRouter {
        &self.router
    }

    /// Where whoever else hands bytes to the runtime tells of them, as the mirror does.
    pub fn deliveries(&self) -> mpsc::Sender<Delivery> {
        self.deliveries.clone()
    }

    /// The mirror's way to peers, for who writes into the store ahead of the runtime.
    pub fn warm(&self) -> &Warm {
        &self.warm
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Drains: running answers may end, then everything stops.
    pub async fn stop(self) {
        self.serving.cancel();
        self.servers.close();
        self.servers.wait().await;
        self.running.cancel();
        self.tasks.close();
        if timeout(STOP, self.tasks.wait()).await.is_err() {
            warn!("some tasks did not end in time");
        }
    }

    fn serve_runtime(&self, listener: TcpListener, metrics: Metrics, mirror: Mirror) {
        let serving = Serving::runtime(metrics);
        let answer = move |request| {
            let mirror = mirror.clone();
            async move { mirror.answer(request).await }
        };
        self.servers.spawn(server::serve(listener, serving, answer, self.serving.clone()));
    }

    fn serve_peers(&self, listener: TcpListener, serving: Serving, peers: PeerService) {
        let answer = move |request| {
            let peers = peers.clone();
            async move { peers.answer(request).await }
        };
        self.servers.spawn(server::serve(listener, serving, answer, self.serving.clone()));
    }
}

fn p2p_config(config: &NodeConfig, peer_endpoint_port: u16) -> P2pConfig {
    P2pConfig {
        identity: config.identity.clone(),
        zone: config.zone.clone(),
        bootstrap: config.bootstrap.clone(),
        pre_shared: config.cluster_key.as_ref().map(|key| Derived::from(key).pre_shared),
        rendezvous: config.rendezvous.clone(),
        ..P2pConfig::new(config.p2p_listen, config.advertise_ip, peer_endpoint_port)
    }
}

fn local(listener: &TcpListener) -> Result<SocketAddr, ListenError> {
    listener.local_addr().map_err(|source| ListenError::Other {
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        flag: "--mirror-listen",
        source,
    })
}
