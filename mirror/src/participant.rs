//! This node's part in claims: it claims, coordinates the claims of others, and tells how far it is.
//!
//! The rules are in [`crate::claim`], which is pure. Here are the clock, the lock around this node's
//! [`Coordinator`], and the way to the coordinators of other digests.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::{
    task::JoinHandle,
    time::{Duration, Instant, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Digest, Peer, Router, Store,
    claim::{Coordinator, timing::FORGET},
    deadlines::Deadlines,
    metrics::Metrics,
    peer::{Dial, Tls, client::PeerClient, dial::Dialer},
    recent::Recent,
    relay::Relay,
    sources::Patience,
};

mod asking;
mod desk;
mod heartbeat;
mod part;

pub(crate) use part::{Role, Serving};

use part::Part;

/// How long it counts that a coordinator did not answer. It is passed over: the next one takes its digests
/// meanwhile, and knows them already, as participants tell both how far they are. The peers have found
/// out that it is dead by then.
const HEARD: Duration = Duration::from_secs(30);

/// How long a coordinator that has answered gets its time when it is asked again, however many others are
/// silent; and how often one that is silent is told something, to see whether it is back. Claims do not wait
/// for that.
const LATELY: Duration = Duration::from_secs(5);

/// Coordinators of which that is remembered.
const HEARD_PEERS: usize = 256;

/// Digests that this node takes part in at a time. A node has three downloads a pull; those of pulls
/// that failed are gone after [`part::IDLE`].
const PARTS: usize = 256;

/// What a participant is made of.
pub struct Seat {
    /// This node, as others reach it.
    pub me: Peer,
    /// Who coordinates what.
    pub router: Arc<dyn Router>,
    /// How far this node is.
    pub store: Arc<dyn Store>,
    /// How peers are spoken to; in the clear, for `None`.
    pub tls: Option<Tls>,
    /// How long to wait for coordinators.
    pub deadlines: Deadlines,
    /// What to count.
    pub metrics: Metrics,
    /// Runs the heartbeats.
    pub tasks: TaskTracker,
    /// Ends them.
    pub running: CancellationToken,
}

/// A node among the claimants, and their coordinator where it is the closest.
pub struct Participant {
    me: Peer,
    router: Arc<dyn Router>,
    store: Arc<dyn Store>,
    relay: Arc<Relay>,
    coordinator: Mutex<Coordinator>,
    client: PeerClient,
    patience: Patience,
    heard: Recent<SocketAddr, Heard>,
    /// When this node claimed first while it knew another.
    joined: OnceLock<Instant>,
    parts: Mutex<HashMap<Digest, Arc<Part>>>,
    metrics: Metrics,
    tasks: TaskTracker,
    running: CancellationToken,
}

/// Whether a coordinator answered when it was asked last.
#[derive(Clone, Copy, Debug)]
struct Heard {
    answered: bool,
    at: Instant,
}

// === impl Participant ===

impl Participant {
    /// Takes a seat; says nothing yet.
    pub fn new(seat: Seat) -> Arc<Self> {
        let patience = seat.deadlines.answer;
        let dialer = match &seat.tls {
            None => Dialer::tcp(patience),
            Some(tls) => Dialer::tls(tls.clone(), patience, seat.metrics.clone()),
        };
        Self::with(seat, dialer)
    }

    /// The same on another network than the kernel's, in the clear.
    pub fn dialing(seat: Seat, dial: Dial) -> Arc<Self> {
        let dialer = Dialer::other(dial, seat.deadlines.answer);
        Self::with(seat, dialer)
    }

    fn with(seat: Seat, dialer: Dialer) -> Arc<Self> {
        let Seat { me, router, store, deadlines, metrics, tasks, running, .. } = seat;
        let participant = Arc::new(Self {
            client: PeerClient::new(me.endpoint, dialer, &deadlines),
            patience: Patience::new(deadlines.claim, deadlines.claim_unanswered),
            coordinator: Mutex::new(Coordinator::new(heartbeat::SLOTS)),
            heard: Recent::new(HEARD, HEARD_PEERS),
            joined: OnceLock::new(),
            parts: Mutex::default(),
            relay: Relay::new(Arc::clone(&store)),
            me,
            router,
            store,
            metrics,
            tasks,
            running,
        });
        participant.run(Arc::clone(&participant).forget());
        participant
    }

    /// Runs `task` until its end, or the node's.
    pub(crate) fn run(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let running = self.running.clone();
        self.tasks.spawn(async move {
            let _ = running.run_until_cancelled(task).await;
        })
    }

    /// Lets the coordinator forget what nobody speaks of.
    async fn forget(self: Arc<Self>) {
        let mut ticks = interval(FORGET);
        loop {
            ticks.tick().await;
            self.coordinator().expire(Instant::now());
        }
    }

    /// Asks peers in this node's name.
    pub(crate) fn client(&self) -> PeerClient {
        self.client.clone()
    }

    /// What passes through this node.
    pub(crate) fn relay(&self) -> Arc<Relay> {
        Arc::clone(&self.relay)
    }

    /// The nodes to ask about a digest, the closest first, without those that do not answer.
    fn coordinators(&self, digest: &Digest) -> impl Iterator<Item = Peer> {
        let now = Instant::now();
        let closest = self.router.closest(digest).into_iter();
        closest.filter(move |peer| !self.is_silent(peer, now))
    }

    /// Whether the next node after the closest one is asked in its place.
    fn passes_over_the_closest(&self, digest: &Digest, now: Instant) -> bool {
        self.router.closest(digest).first().is_some_and(|closest| self.is_silent(closest, now))
    }

    fn is_silent(&self, peer: &Peer, now: Instant) -> bool {
        self.heard.get(&peer.endpoint, now).is_some_and(|heard| !heard.answered)
    }

    /// The nodes to tell about a digest: its coordinators, and silent ones now and then.
    fn listeners(&self, digest: &Digest, now: Instant) -> impl Iterator<Item = Peer> {
        let closest = self.router.closest(digest).into_iter();
        closest.filter(move |peer| !self.is_silent(peer, now) || !self.has_asked_lately(peer, now))
    }

    fn has_asked_lately(&self, peer: &Peer, now: Instant) -> bool {
        self.heard.get(&peer.endpoint, now).is_some_and(|heard| now < heard.at + LATELY)
    }

    fn note_heard(&self, coordinator: SocketAddr, answered: bool) {
        let at = Instant::now();
        self.heard.insert(coordinator, Heard { answered, at }, at);
    }

    /// Whether this node knows no other.
    pub(crate) fn is_alone(&self, digest: &Digest) -> bool {
        self.router.closest(digest).iter().all(|peer| self.is_me(peer))
    }

    fn is_me(&self, peer: &Peer) -> bool {
        peer.endpoint == self.me.endpoint
    }

    fn coordinator(&self) -> MutexGuard<'_, Coordinator> {
        // The state machine bounds and expires all it knows, so that even a half-made change heals.
        self.coordinator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Part>>> {
        // Single insertions and removals: the map is whole whatever panicked.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
