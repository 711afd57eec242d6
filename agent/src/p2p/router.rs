//! The handle on a node's part of the DHT: commands go to its task, live peers come by snapshot.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use onepull_mirror::{Digest, Peer, Router};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    RouterMetrics,
    provider_store::Others,
    roster::{self, Placed, Snapshot, record_key},
};

/// Commands that wait for the task. It takes microseconds for each, so this is a burst of
/// thousands of announcements at start, which then wait for each other.
const MOST_COMMANDS: usize = 256;

/// Found peers that wait for the searcher. It takes the first few that work; 64 are three answers'
/// worth, and what does not fit is dropped.
const MOST_FOUND: usize = 64;

/// A [`Router`] over libp2p's Kademlia.
#[derive(Clone, Debug)]
pub struct Libp2pRouter {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<View>,
    me: Arc<Placed>,
    local_addr: SocketAddr,
    metrics: RouterMetrics,
    records: Records,
}

/// What this node was told by others, and how long it takes until it was told everything.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) others: Others,
    /// In which holders announce everything once.
    pub(super) round: Duration,
}

/// What the task is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Search for the holders of `digest`; `found` is dropped at the end.
    Find {
        /// The digest searched for.
        digest: Digest,
        /// Takes what is found.
        found: mpsc::Sender<Peer>,
    },
    /// Make this node findable for the digest.
    Announce(Digest),
    /// No longer.
    Withdraw(Digest),
}

/// What the task lets its routers see.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) live: Snapshot,
    /// There is nobody to join.
    pub(super) is_only_me: bool,
}

/// The task's ends of what its routers hold.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) view: watch::Sender<View>,
    pub(super) metrics: RouterMetrics,
}

/// A router and its task's seat; `is_only_me` says that there is nobody to join.
pub(super) fn new(
    me: Placed,
    local_addr: SocketAddr,
    is_only_me: bool,
    records: Records,
) -> (Libp2pRouter, Seat) {
    let (sender, commands) = mpsc::channel(MOST_COMMANDS);
    let view = View { live: Snapshot::default(), is_only_me };
    let (view, seen) = watch::channel(view);
    let metrics = RouterMetrics::default();
    let seat = Seat { commands, view, metrics: metrics.clone() };
    let me = Arc::new(me);
    (Libp2pRouter { commands: sender, view: seen, me, local_addr, metrics, records }, seat)
}

// === impl Libp2pRouter ===

impl Libp2pRouter {
    /// Where the DHT listens, with the port that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many live peers this node knows.
    pub fn peers(&self) -> usize {
        self.view.borrow().live.len()
    }

    /// The router's metrics.
    pub fn metrics(&self) -> &RouterMetrics {
        &self.metrics
    }

    /// A task that is gone takes no commands, and has nothing to tell either: searches end empty.
    async fn send(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

#[async_trait]
impl Router for Libp2pRouter {
    fn ready(&self) -> bool {
        let view = self.view.borrow();
        view.is_only_me || !view.live.is_empty()
    }

    fn find(&self, digest: &Digest) -> BoxStream<'static, Peer> {
        let (router, digest) = (self.clone(), *digest);
        let search = async move {
            let (found, mut finds) = mpsc::channel(MOST_FOUND);
            router.send(Command::Find { digest, found }).await;
            stream::poll_fn(move |cx| finds.poll_recv(cx))
        };
        stream::once(search).flatten().boxed()
    }

    async fn announce(&self, digest: &Digest) {
        self.send(Command::Announce(*digest)).await;
    }

    async fn withdraw(&self, digest: &Digest) {
        self.send(Command::Withdraw(*digest)).await;
    }

    fn closest(&self, digest: &Digest) -> Vec<Peer> {
        let live = self.view.borrow().live.clone();
        roster::closest(&self.me, &live, digest)
    }

    fn knows_of_nobody(&self, digest: &Digest) -> bool {
        let (live, now) = (self.view.borrow().live.clone(), Instant::now());
        let Records { others, round } = &self.records;
        roster::tells_all(&live, *round, now) && others.name_nobody(&record_key(digest), now)
    }
}
