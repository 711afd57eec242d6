//! Nodes of these tests, in this process, and what they can be asked.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc as std_mpsc,
    },
    time::Duration,
};

use futures::StreamExt;
use onepull_agent::p2p::{HostPort, Libp2pRouter, P2p, P2pConfig, P2pError};
use onepull_mirror::{Digest, Router};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(LOOPBACK, 0);

/// Things settle within this time, even on a loaded machine: the largest cluster here makes some 300
/// connections, and a handshake takes 20 ms of a core in an unoptimised build.
const DEADLINE: Duration = Duration::from_secs(90);

/// A node in this process, with a peer endpoint of which only the address exists.
pub(crate) struct TestNode {
    pub(crate) router: Libp2pRouter,
    pub(crate) endpoint: SocketAddr,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl TestNode {
    pub(crate) async fn start(config: P2pConfig) -> Self {
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let endpoint = SocketAddr::new(config.advertise, config.peer_endpoint_port);
        let router = P2p::start(config, &tracker, cancel.clone()).await.unwrap();
        Self { router, endpoint, cancel, tracker }
    }

    /// A node that joins through `bootstrap`.
    pub(crate) async fn join(bootstrap: &[&Self]) -> Self {
        Self::start(joining(bootstrap)).await
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub(crate) fn at(&self) -> HostPort {
        self.router.local_addr().into()
    }

    pub(crate) async fn finds(&self, digest: &Digest) -> BTreeSet<SocketAddr> {
        let search = self.router.find(digest).map(|peer| peer.endpoint).collect();
        timeout(DEADLINE, search).await.expect("the search ends")
    }
}

/// Peer endpoints are not opened here; they only have to differ.
pub(crate) fn config() -> P2pConfig {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);
    P2pConfig::new(ANY_PORT, LOOPBACK, NEXT_PORT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn joining(bootstrap: &[&TestNode]) -> P2pConfig {
    P2pConfig { bootstrap: bootstrap.iter().map(|node| node.at()).collect(), ..config() }
}

/// `count` nodes that have met: up to 20 all know each other, more all know the first.
pub(crate) async fn cluster(count: usize) -> Vec<TestNode> {
    cluster_of(count, |config| config).await
}

pub(crate) async fn cluster_of(
    count: usize,
    set: impl Fn(P2pConfig) -> P2pConfig,
) -> Vec<TestNode> {
    let mut nodes = vec![TestNode::start(set(config())).await];
    for _ in 1..count {
        let node = TestNode::start(set(joining(&[&nodes[0]]))).await;
        nodes.push(node);
    }
    let must_know_all = if count <= 20 { &nodes[..] } else { &nodes[..1] };
    until("they know each other", async || {
        must_know_all.iter().all(|node| node.router.peers() == count - 1)
    })
    .await;
    nodes
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

pub(crate) async fn until_found(node: &TestNode, digest: &Digest, holders: &[&TestNode]) {
    let holders: BTreeSet<_> = holders.iter().map(|holder| holder.endpoint).collect();
    until("the holders are found", async || node.finds(digest).await == holders).await;
}

/// A node that repeats what it announces every three seconds.
pub(crate) fn restless(config: P2pConfig) -> P2pConfig {
    P2pConfig { record_ttl: Duration::from_secs(9), ..config }
}

pub(crate) async fn until_sure(nodes: &[TestNode]) {
    let unknown = digest("unknown");
    let are_sure = async || nodes.iter().all(|node| node.router.knows_of_nobody(&unknown));
    until("all know of nobody", are_sure).await;
}

pub(crate) fn digest(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

pub(crate) async fn fails(config: P2pConfig) -> P2pError {
    P2p::start(config, &TaskTracker::new(), CancellationToken::new()).await.unwrap_err()
}

#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// The times that whole searches take, each for another digest with `holders` holders.
pub(crate) async fn latencies(
    node: &TestNode,
    count: usize,
    digest: impl Fn(usize) -> Digest,
    holders: usize,
) -> Latencies {
    let mut times = Vec::new();
    for n in 0..count {
        let start = Instant::now();
        assert_eq!(node.finds(&digest(n)).await.len(), holders);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Latencies { p50: times[count / 2], p99: times[count * 99 / 100] }
}

/// A node on a thread and runtime of its own. After a message it is never polled again, while its
/// sockets stay open: what its peers see of a stopped process, and nearly what they see of a
/// machine that lost power.
pub(crate) fn freeze_later(config: P2pConfig) -> std_mpsc::Sender<()> {
    let (freeze, frozen) = std_mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _node = runtime.block_on(async {
            let node = TestNode::start(config).await;
            while frozen.try_recv() == Err(std_mpsc::TryRecvError::Empty) {
                sleep(Duration::from_millis(5)).await;
            }
            node
        });
        // Ends with the test's process.
        loop {
            std::thread::park();
        }
    });
    freeze
}
