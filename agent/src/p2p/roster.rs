//! The live onepull peers: connected, and identified as such.
//!
//! The swarm task keeps the roster; the router's callers read a snapshot of it, so that choosing a
//! claim's coordinator waits for nobody. Any libp2p node can take part in the DHT, but only a peer
//! whose agent version says where its peer endpoint is gets in here.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use libp2p::{
    PeerId, identify,
    kad::{K_VALUE, KBucketKey, RecordKey},
};
use onepull_mirror::{Digest, Peer};
use tokio::time::Instant;

use super::{
    address::{is_reachable, socket_addr},
    agent_version::AgentVersion,
};

/// The most peers for which [`tells_all`] is true. An announcement that reached two thirds of its peers or
/// fewer is repeated soon (see `reach`), so of so many at most two were not told.
const FEW: usize = 9;

/// A node and its place in the key space.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    peer: Peer,
    key: KBucketKey<PeerId>,
}

/// A live peer.
#[derive(Clone, Debug)]
pub(super) struct Live {
    placed: Placed,
    /// Where its DHT listens.
    p2p: SocketAddr,
    since: Instant,
}

/// The live peers at one moment.
pub(super) type Snapshot = Arc<Vec<Live>>;

/// All live peers, by their DHT names.
#[derive(Debug, Default)]
pub(super) struct Roster {
    peers: HashMap<PeerId, Live>,
}

/// What an Identify message changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// The peer was not there before. It may have replaced another at the same endpoint: the one
    /// that its agent was before it lost its identity file.
    New {
        /// The peer that it replaced.
        replaced: Option<PeerId>,
    },
    /// It was there, and says the same or something new.
    Known,
    /// Not a onepull node.
    Stranger,
}

// === impl Roster ===

impl Roster {
    /// Takes in what a connected peer says about itself.
    pub(super) fn identified(
        &mut self,
        id: PeerId,
        info: &identify::Info,
        now: Instant,
    ) -> Entered {
        let Some((p2p, peer)) = read(info) else {
            return Entered::Stranger;
        };
        let same = |(_, live): &(&PeerId, &Live)| live.placed.peer.endpoint == peer.endpoint;
        let replaced = self
            .peers
            .iter()
            .filter(|(other, _)| **other != id)
            .find(same)
            .map(|(other, _)| *other);
        if let Some(replaced) = replaced {
            self.peers.remove(&replaced);
        }
        let since = self.peers.get(&id).map_or(now, |live| live.since);
        match self.peers.insert(id, Live { placed: Placed::new(id, peer), p2p, since }) {
            Some(_) => Entered::Known,
            None => Entered::New { replaced },
        }
    }

    /// Takes a peer out whose last connection ended. Says whether it was in.
    pub(super) fn lost(&mut self, id: &PeerId) -> bool {
        self.peers.remove(id).is_some()
    }

    pub(super) fn get(&self, id: &PeerId) -> Option<&Peer> {
        self.peers.get(id).map(|live| &live.placed.peer)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether a live peer's DHT listens at `at`.
    pub(super) fn is_reached_at(&self, at: SocketAddr) -> bool {
        self.peers.values().any(|live| live.p2p == at)
    }

    /// Since when a peer is live.
    pub(super) fn since(&self, id: &PeerId) -> Option<Instant> {
        self.peers.get(id).map(|live| live.since)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Arc::new(self.peers.values().cloned().collect())
    }
}

// === impl Placed ===

impl Placed {
    pub(super) fn new(id: PeerId, peer: Peer) -> Self {
        Self { peer, key: id.into() }
    }
}

/// Whether all `others` tell this node what they hold, and have had a `round` for it: in so small a
/// cluster every node is among the 20 closest to every digest.
pub(super) fn tells_all(others: &[Live], round: Duration, now: Instant) -> bool {
    let are_few = (1..=FEW).contains(&others.len());
    are_few && others.iter().all(|live| now >= live.since + round)
}

/// The nodes among `me` and `others` that are closest to `digest`, nearest first: by XOR of the
/// hashes of their DHT names with that of the digest, as in kad itself. At most 20, the width of a
/// bucket: beyond that a node's picture of its neighbourhood is not reliable anyway.
pub(super) fn closest(me: &Placed, others: &[Live], digest: &Digest) -> Vec<Peer> {
    let target = KBucketKey::new(record_key(digest));
    let nodes = others.iter().map(|live| &live.placed).chain([me]);
    let mut nodes: Vec<_> = nodes.map(|node| (node.key.distance(&target), &node.peer)).collect();
    nodes.sort_unstable_by_key(|(distance, _)| *distance);
    nodes.into_iter().take(K_VALUE.get()).map(|(_, peer)| peer.clone()).collect()
}

/// A digest's key in the DHT: its raw hash.
pub(super) fn record_key(digest: &Digest) -> RecordKey {
    RecordKey::new(&digest.as_bytes())
}

/// Where the DHT and the peer endpoint of a onepull node are. Nodes send only their advertised
/// address, so the first one that can be reached is meant.
fn read(info: &identify::Info) -> Option<(SocketAddr, Peer)> {
    let said: AgentVersion = info.agent_version.parse().ok()?;
    let mut listens = info.listen_addrs.iter().filter_map(socket_addr);
    let p2p = listens.find(|at| is_reachable(at.ip()))?;
    let endpoint = SocketAddr::new(p2p.ip(), said.peer_port);
    Some((p2p, Peer { endpoint, zone: said.zone.map(String::from) }))
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;
    use crate::p2p::reach::{expected, is_few};

    fn info(agent_version: &str, address: &str) -> identify::Info {
        identify::Info {
            public_key: Keypair::generate_ed25519().public(),
            protocol_version: String::new(),
            agent_version: agent_version.into(),
            listen_addrs: vec![address.parse().unwrap()],
            protocols: Vec::new(),
            observed_addr: "/ip4/127.0.0.1/tcp/1".parse().unwrap(),
            signed_peer_record: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn few_peers_tell_all_once_each_has_had_a_round() {
        let (round, start) = (Duration::from_secs(203), Instant::now());
        let told = |roster: &Roster, at| tells_all(&roster.snapshot(), round, at);
        let mut roster = Roster::default();
        assert!(!told(&roster, start + round), "nobody is there");
        for host in 1..=9 {
            enter(&mut roster, PeerId::random(), host);
            assert!(told(&roster, start + round), "{host} peers");
            assert!(!told(&roster, start + round - Duration::from_millis(1)));
        }
        tokio::time::advance(round).await;
        let newcomer = PeerId::random();
        roster.lost(&roster.peers.keys().next().copied().unwrap());
        enter(&mut roster, newcomer, 10);
        assert!(!told(&roster, start + round), "one is new");
        assert!(told(&roster, start + 2 * round));
        enter(&mut roster, PeerId::random(), 11);
        assert!(!told(&roster, start + 3 * round), "too many");
    }

    /// So two nodes that know of nobody are enough, but for the two that were missed.
    #[test]
    fn an_announcement_that_is_not_repeated_missed_two_peers_at_most() {
        for peers in 1..=FEW {
            let told = (0..=peers).find(|told| !is_few(*told, expected(peers))).unwrap();
            assert!(peers - told <= 2, "{told} of {peers}");
        }
    }

    fn enter(roster: &mut Roster, id: PeerId, host: u8) -> Entered {
        let info = info("onepull/1 peer=29901", &format!("/ip4/10.0.0.{host}/tcp/29902"));
        roster.identified(id, &info, Instant::now())
    }

    #[test]
    fn a_peer_is_its_advertised_address_and_its_own_words() {
        let mut roster = Roster::default();
        let id = PeerId::random();
        let said = info("onepull/1 peer=29901 zone=eu-1a", "/ip6/fd00::1/tcp/29902");
        assert_eq!(roster.identified(id, &said, Instant::now()), Entered::New { replaced: None });
        let endpoint = "[fd00::1]:29901".parse().unwrap();
        assert_eq!(roster.get(&id), Some(&Peer { endpoint, zone: Some("eu-1a".into()) }));
        assert!(roster.is_reached_at("[fd00::1]:29902".parse().unwrap()));
        assert!(roster.lost(&id));
        assert_eq!(roster.len(), 0);
    }

    #[test]
    fn a_stranger_is_not_a_peer() {
        let mut roster = Roster::default();
        for (agent, address) in [
            ("rust-libp2p/0.48.0", "/ip4/10.0.0.1/tcp/29902"),
            ("onepull/1 peer=29901", "/ip4/10.0.0.1/udp/29902/quic-v1"),
            ("onepull/1 peer=29901", "/ip6/fe80::1/tcp/29902"),
        ] {
            let entered =
                roster.identified(PeerId::random(), &info(agent, address), Instant::now());
            assert_eq!(entered, Entered::Stranger);
        }
        assert_eq!(roster.len(), 0);
    }

    #[test]
    fn a_node_with_a_new_identity_replaces_its_former_self() {
        let mut roster = Roster::default();
        let (before, after) = (PeerId::random(), PeerId::random());
        assert_eq!(enter(&mut roster, before, 1), Entered::New { replaced: None });
        assert_eq!(enter(&mut roster, before, 1), Entered::Known);
        assert_eq!(enter(&mut roster, after, 1), Entered::New { replaced: Some(before) });
        assert_eq!(roster.len(), 1);
    }

    #[test]
    fn all_nodes_agree_on_who_is_closest() {
        let nodes: Vec<_> = (0..30).map(|host| (PeerId::random(), host)).collect();
        let digest = Digest::sha256(b"layer");
        let seen_by = |(me, host): (PeerId, u8)| {
            let mut roster = Roster::default();
            for (id, host) in nodes.iter().filter(|(id, _)| *id != me) {
                enter(&mut roster, *id, *host);
            }
            let endpoint = SocketAddr::from(([10, 0, 0, host], 29901));
            let me = Placed::new(me, Peer { endpoint, zone: None });
            closest(&me, &roster.snapshot(), &digest)
        };
        let closest_to_one = seen_by(nodes[0]);
        assert_eq!(closest_to_one.len(), 20);
        for other in &nodes[1..] {
            assert_eq!(closest_to_one, seen_by(*other));
        }
    }
}
