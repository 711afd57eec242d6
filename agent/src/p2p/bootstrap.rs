//! When to ask which bootstrap address, until this node has joined and from time to time after.
//!
//! Each address has its own clock. While it does not lead to a peer, attempts back off; once it
//! does, it is still tried now and then, because two halves of a cluster that lost sight of each
//! other meet again only through the addresses that both were given. A cluster that starts all at
//! once must not knock in step, so every wait is random within a factor of two.
//!
//! The caller resolves and dials; this is the state, with time as an argument.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rand::Rng;
use tokio::time::Instant;

use super::{Patience, Rendezvous};

/// The wait after a first failure: about what a node beside this one needs to come up.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The bootstrap addresses and when each is due.
#[derive(Debug)]
pub(super) struct Bootstrap {
    addresses: Vec<Address>,
}

#[derive(Debug)]
struct Address {
    at: Arc<dyn Rendezvous>,
    patience: Patience,
    failures: u32,
    due: Instant,
    /// It resolved to this node alone the last time.
    is_me: bool,
}

/// What an attempt came to, as far as it is known at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It resolved to this node alone.
    Me,
    /// It resolved to peers that are connected already.
    Connected,
    /// It does not resolve, or is being dialed: a failure unless a connection comes of it.
    Open,
}

// === impl Bootstrap ===

impl Bootstrap {
    pub(super) fn new(addresses: Vec<Arc<dyn Rendezvous>>, now: Instant) -> Self {
        let address = |at: Arc<dyn Rendezvous>| {
            let patience = at.patience();
            Address { at, patience, failures: 0, due: now, is_me: false }
        };
        Self { addresses: addresses.into_iter().map(address).collect() }
    }

    /// When the next address is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.addresses.iter().map(|address| address.due).min()
    }

    /// The addresses to try now. None of them is due again before [`Bootstrap::attempted`], or when
    /// its patience ends.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(usize, Arc<dyn Rendezvous>)> {
        let due = self.addresses.iter_mut().enumerate().filter(|(_, address)| address.due <= now);
        due.map(|(index, address)| {
            address.due = now + address.patience.joined;
            (index, Arc::clone(&address.at))
        })
        .collect()
    }

    /// The attempt at address `index` came to `attempt`, while this node knows `peers` peers.
    pub(super) fn attempted(&mut self, index: usize, attempt: Attempt, peers: usize, now: Instant) {
        let Some(address) = self.addresses.get_mut(index) else {
            return;
        };
        address.is_me = attempt == Attempt::Me;
        address.failures = match attempt {
            Attempt::Connected => 0,
            Attempt::Me | Attempt::Open => address.failures.saturating_add(1),
        };
        let Patience { lonely, joined } = address.patience;
        let longest = if peers == 0 { lonely } else { joined };
        address.due = now + wait(address.failures, longest, rand::rng().random_range(0.5..=1.0));
    }

    /// A connection came of address `index`.
    pub(super) fn connected(&mut self, index: usize, now: Instant) {
        self.attempted(index, Attempt::Connected, 1, now);
    }

    /// The last peer is gone: starts over.
    pub(super) fn lonely(&mut self, now: Instant) {
        for address in &mut self.addresses {
            address.failures = 0;
            let soon = wait(1, address.patience.lonely, rand::rng().random_range(0.5..=1.0));
            address.due = address.due.min(now + soon);
        }
    }

    /// Whether there is nobody else to join: no address was given, or each is this node's own.
    pub(super) fn is_only_me(&self) -> bool {
        self.addresses.iter().all(|address| address.is_me)
    }
}

/// What an attempt at an address that resolved to `resolved` comes to, and whom to dial for it.
pub(super) fn targets(
    resolved: &[SocketAddr],
    is_me: impl Fn(SocketAddr) -> bool,
    is_connected: impl Fn(SocketAddr) -> bool,
) -> (Attempt, Vec<SocketAddr>) {
    let others: Vec<_> = resolved.iter().copied().filter(|at| !is_me(*at)).collect();
    if others.is_empty() {
        return (if resolved.is_empty() { Attempt::Open } else { Attempt::Me }, others);
    }
    let unconnected: Vec<_> = others.into_iter().filter(|at| !is_connected(*at)).collect();
    (if unconnected.is_empty() { Attempt::Connected } else { Attempt::Open }, unconnected)
}

/// Doubles with each failure, to `longest`; without a failure it is `longest`.
fn wait(failures: u32, longest: Duration, jitter: f64) -> Duration {
    let doublings = failures.checked_sub(1).map(|failures| failures.min(16));
    doublings.map_or(longest, |n| (FIRST_WAIT * 2_u32.pow(n)).min(longest)).mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::HostPort;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// One address: a node that has joined tries it each minute.
    fn bootstrap() -> Bootstrap {
        let address: HostPort = "node-1:29902".parse().unwrap();
        Bootstrap::new(vec![Arc::new(address)], Instant::now())
    }

    #[test]
    fn waits_double_up_to_their_bound() {
        let waits: Vec<_> = (1..8).map(|n| wait(n, secs(5), 1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(wait(u32::MAX, secs(60), 0.5), secs(30));
        assert_eq!(wait(0, secs(60), 1.0), secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_due_at_once_and_again_after_its_wait() {
        let mut bootstrap = bootstrap();
        let now = Instant::now();
        assert_eq!(bootstrap.take_due(now).len(), 1);
        assert!(bootstrap.take_due(now).is_empty(), "the attempt is under way");
        bootstrap.attempted(0, Attempt::Open, 0, now);
        assert!(bootstrap.next_due().unwrap() <= now + FIRST_WAIT);
        bootstrap.connected(0, now);
        let due = bootstrap.next_due().unwrap();
        assert!((now + secs(30)..=now + secs(60)).contains(&due), "healing goes on slowly");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_lost_its_last_peer_asks_again_soon() {
        let mut bootstrap = bootstrap();
        let now = Instant::now();
        bootstrap.connected(0, now);
        bootstrap.lonely(now);
        assert!(bootstrap.next_due().unwrap() <= now + FIRST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_finds_only_itself_has_nobody_to_join() {
        let now = Instant::now();
        assert!(Bootstrap::new(Vec::new(), now).is_only_me());
        let mut bootstrap = bootstrap();
        assert!(!bootstrap.is_only_me());
        bootstrap.attempted(0, Attempt::Me, 0, now);
        assert!(bootstrap.is_only_me());
        bootstrap.attempted(0, Attempt::Open, 0, now);
        assert!(!bootstrap.is_only_me());
    }

    #[test]
    fn this_node_and_connected_peers_are_not_dialed() {
        let at = |host| SocketAddr::from(([10, 0, 0, host], 29902));
        let targets = |hosts: &[u8]| {
            let resolved: Vec<_> = hosts.iter().map(|host| at(*host)).collect();
            targets(&resolved, |other| other == at(1), |other| other == at(2))
        };
        assert_eq!(targets(&[]), (Attempt::Open, vec![]));
        assert_eq!(targets(&[1]), (Attempt::Me, vec![]));
        assert_eq!(targets(&[1, 2]), (Attempt::Connected, vec![]));
        assert_eq!(targets(&[1, 2, 3]), (Attempt::Open, vec![at(3)]));
    }
}
