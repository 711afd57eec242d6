//! The task that owns the swarm and everything known about the DHT.
//!
//! It waits for a command, an event of the swarm, a resolved bootstrap address or the next time at
//! which something is due, and keeps no locks. [`events`] says what the swarm's events mean.

mod events;

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Swarm,
    kad::{self, QueryId},
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use onepull_mirror::{Digest, Peer};
use tokio::{
    select,
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    Rendezvous,
    address::multiaddr,
    announcements::Announcements,
    behaviour::{Behaviour, REFRESH},
    bootstrap::{self, Attempt, Bootstrap},
    looks::Looks,
    lookups::Lookups,
    provider_store::ProviderStore,
    roster::{Roster, record_key},
    router::{Command, Seat, View},
};

/// How often walks that wait for somebody are looked at. A healthy walk ends before the first look.
const LOOK_AT_WALKS: Duration = Duration::from_millis(10);

/// How often expired records of others are dropped. They are not handed out anyway.
const DROP_EXPIRED: Duration = Duration::from_secs(60);

/// After a peer came, others may follow: a cluster starts, or a walk introduces this node. Records
/// are spread once they are there.
const SETTLE: Duration = Duration::from_millis(500);

/// A bootstrap address is made of a few pods; more addresses than this are left to the next try.
const MOST_DIALED_PER_NAME: usize = 16;

/// The owner of a node's part of the DHT.
pub(super) struct Node {
    swarm: Swarm<Behaviour>,
    seat: Seat,
    roster: Roster,
    lookups: Lookups<QueryId>,
    announcements: Announcements<QueryId>,
    bootstrap: Bootstrap,
    looks: Looks,
    resolving: FuturesUnordered<BoxFuture<'static, Resolved>>,
    /// The bootstrap addresses being dialed.
    dials: HashMap<ConnectionId, BootstrapDial>,
    /// Addresses at which this node would reach itself.
    me: HashSet<SocketAddr>,
    /// When the peers that came last are told what this node has.
    settled: Option<Instant>,
    walks_looked_at: Instant,
    expired_dropped: Instant,
}

type Resolved = (usize, io::Result<Vec<SocketAddr>>);

/// A dial on behalf of a bootstrap address.
#[derive(Clone, Copy, Debug)]
struct BootstrapDial {
    index: usize,
    /// The address stands for nobody else.
    alone: bool,
}

// === impl Node ===

impl Node {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        seat: Seat,
        me: HashSet<SocketAddr>,
        bootstrap: Vec<Arc<dyn Rendezvous>>,
        republish: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            swarm,
            seat,
            roster: Roster::default(),
            lookups: Lookups::new(),
            announcements: Announcements::new(republish),
            bootstrap: Bootstrap::new(bootstrap, now),
            looks: Looks::new(REFRESH),
            resolving: FuturesUnordered::new(),
            dials: HashMap::new(),
            me,
            settled: None,
            walks_looked_at: now,
            expired_dropped: now,
        }
    }

    /// Runs until `cancel`. All connections are closed then.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        info!(peer_id = %self.swarm.local_peer_id(), "joining the peers");
        loop {
            self.do_what_is_due(Instant::now());
            let next = self.next_due();
            select! {
                () = cancel.cancelled() => return,
                Some(command) = self.seat.commands.recv() => self.obey(command),
                event = self.swarm.select_next_some() => self.on_event(event),
                Some((index, resolved)) = self.resolving.next() => {
                    self.dial_bootstrap(index, resolved);
                }
                () = sleep_until(next) => {}
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Find { digest, found } => self.find(&digest, found, now),
            Command::Announce(digest) => self.announcements.add(digest, now),
            Command::Withdraw(digest) => {
                self.announcements.remove(&digest);
                self.kad().stop_providing(&record_key(&digest));
            }
        }
        self.count_announcements();
    }

    /// With nobody connected there is nobody to ask, and dialing who once was there only delays
    /// the pull: `found` is dropped at once.
    fn find(&mut self, digest: &Digest, found: mpsc::Sender<Peer>, now: Instant) {
        if self.swarm.connected_peers().next().is_some() {
            let walk = self.kad().get_providers(record_key(digest));
            self.lookups.start(walk, found, now);
        }
    }

    fn next_due(&self) -> Instant {
        let walking = !self.lookups.is_empty() || self.announcements.is_walking();
        let look = walking.then_some(self.walks_looked_at + LOOK_AT_WALKS);
        let (announcement, bootstrap) = (self.announcements.next_due(), self.bootstrap.next_due());
        let due = [look, self.settled, announcement, bootstrap, self.looks.next_due()];
        let drop_expired = self.expired_dropped + DROP_EXPIRED;
        due.into_iter().flatten().fold(drop_expired, Instant::min)
    }

    fn do_what_is_due(&mut self, now: Instant) {
        if now >= self.walks_looked_at + LOOK_AT_WALKS {
            self.walks_looked_at = now;
            self.end_stuck_walks(now);
        }
        if now >= self.expired_dropped + DROP_EXPIRED {
            self.expired_dropped = now;
            self.kad().store_mut().sweep(now);
        }
        if self.settled.is_some_and(|settled| now >= settled) {
            self.settled = None;
            self.announcements.peers_came(self.roster.len(), now);
        }
        if self.looks.take_due(now) {
            // Fails when the last peer just left; the next one to come is asked.
            let _ = self.kad().bootstrap();
        }
        while let Some(digest) = self.announcements.next(self.roster.len(), now) {
            self.announce(digest, now);
        }
        for (index, at) in self.bootstrap.take_due(now) {
            self.resolving.push(async move { (index, at.nodes().await) }.boxed());
        }
    }

    fn announce(&mut self, digest: Digest, now: Instant) {
        match self.kad().start_providing(record_key(&digest)) {
            Ok(walk) => self.announcements.walk_began(walk, digest, now),
            Err(error) => {
                debug!(%digest, %error, "cannot announce now");
                self.announcements.walk_failed(digest, now);
            }
        }
    }

    /// Ending an announcement's walk sends the record to those that have answered, and the queue
    /// repeats it soon when they were few; letting kad time it out would send it to nobody.
    fn end_stuck_walks(&mut self, now: Instant) {
        let kad = &self.swarm.behaviour().kad;
        let progress = |walk: &QueryId| {
            let stats = *kad.query(walk)?.stats();
            Some((stats.num_requests(), stats.num_successes() + stats.num_failures()))
        };
        let mut stuck = self.lookups.sweep(now, progress);
        stuck.extend(self.announcements.sweep(now, progress));
        for walk in stuck {
            if let Some(mut query) = self.kad().query_mut(&walk) {
                query.finish();
            }
        }
    }

    fn dial_bootstrap(&mut self, index: usize, resolved: io::Result<Vec<SocketAddr>>) {
        let resolved = resolved.unwrap_or_else(|error| {
            debug!(%error, "it is not known now whom a bootstrap address stands for");
            Vec::new()
        });
        let is_me = |at| self.me.contains(&at);
        let is_connected = |at| self.roster.is_reached_at(at);
        let (attempt, targets) = bootstrap::targets(&resolved, is_me, is_connected);
        self.attempted(index, attempt);
        let alone = resolved.len() == 1;
        for at in targets.into_iter().take(MOST_DIALED_PER_NAME) {
            let dial = DialOpts::unknown_peer_id().address(multiaddr(at)).build();
            self.dials.insert(dial.connection_id(), BootstrapDial { index, alone });
            // A refusal comes as an event as well.
            let _ = self.swarm.dial(dial);
        }
    }

    fn attempted(&mut self, index: usize, attempt: Attempt) {
        self.bootstrap.attempted(index, attempt, self.roster.len(), Instant::now());
        self.show();
    }

    /// Lets the routers see what is known now.
    fn show(&mut self) {
        let is_only_me = self.bootstrap.is_only_me();
        self.seat.view.send_replace(View { live: self.roster.snapshot(), is_only_me });
        self.seat.metrics.peers.set(count(self.roster.len()));
    }

    fn count_announcements(&self) {
        self.seat.metrics.announced.set(count(self.announcements.len()));
    }

    fn kad(&mut self) -> &mut kad::Behaviour<ProviderStore> {
        &mut self.swarm.behaviour_mut().kad
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use libp2p::{identify, identity::Keypair, swarm::SwarmEvent};
    use onepull_mirror::Router;
    use tokio::time::timeout;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::p2p::{
        P2p, P2pConfig,
        agent_version::AgentVersion,
        behaviour::{BehaviourEvent, swarm},
        listen::listen,
    };

    const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// Two nodes join at the same time by a peer on a busy machine: each has asked it before it
    /// has read who the other is.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nodes_that_join_at_once_meet_also_when_their_first_peer_is_late() {
        let version = AgentVersion { peer_port: 29_901, zone: None };
        let ttl = Duration::from_secs(60);
        let mut late = swarm(&Keypair::generate_ed25519(), None, &version, ttl).unwrap();
        let port = listen(&mut late, (LOOPBACK, 0).into()).await.unwrap().port;
        let at = SocketAddr::from((LOOPBACK, port));
        late.add_external_address(multiaddr(at));
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let start = async |peer_port| {
            let config = P2pConfig {
                bootstrap: vec![at.into()],
                ..P2pConfig::new((LOOPBACK, 0).into(), LOOPBACK.into(), peer_port)
            };
            P2p::start(config, &tracker, cancel.clone()).await.unwrap()
        };
        let joining = [start(20_001).await, start(20_002).await];
        let mut unread = Vec::new();
        let reads = async {
            loop {
                let event = late.select_next_some().await;
                if let SwarmEvent::Behaviour(BehaviourEvent::Identify(
                    identify::Event::Received { peer_id, info, .. },
                )) = event
                {
                    unread.push((peer_id, info.listen_addrs));
                }
                let is_answered = joining.iter().all(|router| router.peers() > 0);
                if is_answered && unread.len() == joining.len() {
                    return;
                }
            }
        };
        timeout(ttl, reads).await.unwrap();
        // Both have been told of nobody by now.
        for _ in 0..20 {
            let _ = timeout(Duration::from_millis(10), late.select_next_some()).await;
        }
        for (peer, addresses) in unread {
            let address = addresses.into_iter().next().unwrap();
            late.behaviour_mut().kad.add_address(&peer, address);
        }
        let meet = async {
            while joining.iter().any(|router| router.peers() < 2) {
                let _ = timeout(Duration::from_millis(50), late.select_next_some()).await;
            }
        };
        timeout(ttl, meet).await.expect("they meet");
        assert!(joining.iter().all(|router| router.ready()));
        cancel.cancel();
    }
}
