//! One node: everything an agent serves, and the runtime that pulls as soon as the node is up.

use std::{net::SocketAddr, sync::Arc};

use onepull_mirror::{
    Deadlines, Metrics, Mirror, Participant, Peer, PeerService, Router, Throttle,
    announce::announce,
    mirror::{DELIVERIES_WAITING, Parts},
    participant::Seat,
    router::MemoryNetwork,
    server::{Serving, serve},
    sources::Lookup,
};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    board::{Board, Seen, now},
    image::Image,
    network::{MIRROR, PEER, Socket, dial},
    router::SharedRouter,
    runtime::Runtime,
    store::{Disk, MemoryStore},
};

/// What a node sends to others in a second: a few times what the registry sends to one, so that a
/// chain keeps up with the lead and a late node does not get all at once.
const UPLINK: u64 = 8 << 20;

/// What makes a node, and outlives its crashes.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) registry: SocketAddr,
    pub(crate) network: MemoryNetwork,
    pub(crate) disk: Disk,
    pub(crate) image: Arc<Image>,
    pub(crate) board: Board,
    pub(crate) deadlines: Deadlines,
}

/// The node's host: runs until it crashes.
pub(crate) async fn run(place: Place) -> turmoil::Result {
    let store = MemoryStore::open(&place.disk);
    let metrics = Metrics::register(&mut Registry::default());
    place.board.note(&place.name, |seen| seen.starts(metrics.clone()));
    serve_all(&place, &store, &metrics).await?;
    let Place { name, registry, board, .. } = place.clone();
    let runtime = Runtime { name, store, registry, board };
    let pulled = runtime.pull(&place.image).await;
    place.board.note(&place.name, |seen| seen.ends(pulled));
    std::future::pending().await
}

/// Starts the mirror and the peer endpoint.
async fn serve_all(place: &Place, store: &Arc<MemoryStore>, metrics: &Metrics) -> turmoil::Result {
    let (tasks, running) = (TaskTracker::new(), CancellationToken::new());
    let (deadlines, me) = (place.deadlines, Peer { endpoint: place.address, zone: None });
    let router: Arc<dyn Router> = Arc::new(SharedRouter(place.network.join(me.clone())));
    let seat = Seat {
        me,
        router: Arc::clone(&router),
        store: store.clone(),
        tls: None,
        deadlines,
        metrics: metrics.clone(),
        tasks: tasks.clone(),
        running: running.clone(),
    };
    let participant = Participant::dialing(seat, dial());
    let uplink = Some(Arc::new(Throttle::new(UPLINK)));
    let peers =
        PeerService::new(store.clone(), participant.clone(), metrics.clone(), uplink, &deadlines);
    let mirror = Mirror::new(Parts {
        node: place.name.clone(),
        participant,
        store: store.clone(),
        outside: Lookup::new(Arc::clone(&router), None, deadlines, metrics.clone()),
        deadlines,
        metrics: metrics.clone(),
        deliveries: mpsc::channel(DELIVERIES_WAITING).0,
        tasks: tasks.clone(),
    });
    let answer = move |request| {
        let peers = peers.clone();
        async move { peers.answer(request).await }
    };
    let serving = Serving::peers(metrics.clone(), None);
    tasks.spawn(serve(Socket::bind(PEER).await?, serving, answer, running.clone()));
    let answer = move |request| {
        let mirror = mirror.clone();
        async move { mirror.answer(request).await }
    };
    let serving = Serving::runtime(metrics.clone());
    tasks.spawn(serve(Socket::bind(MIRROR).await?, serving, answer, running));
    tasks.spawn(announce(store.clone(), router));
    Ok(())
}

// === impl Seen ===

impl Seen {
    fn starts(&mut self, metrics: Metrics) {
        self.metrics = Some(metrics);
        self.have.clear();
        self.ended = None;
        self.log("starts".into());
    }

    fn ends(&mut self, pulled: Result<(), String>) {
        self.ended = Some(now());
        match pulled {
            Ok(()) => self.log("has all".into()),
            Err(error) => {
                self.log(error.clone());
                self.failed = Some(error);
            }
        }
    }
}
