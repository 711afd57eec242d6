//! What the swarm's events mean for this node.

use std::collections::HashSet;

use libp2p::{
    PeerId, identify,
    kad::{self, GetProvidersOk, QueryId, QueryResult},
    ping,
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::time::{Duration, Instant};
use tracing::{debug, warn};

use super::{Node, SETTLE};
use crate::p2p::{
    address::socket_addr,
    behaviour::{BehaviourEvent, KAD_PROTOCOL},
    bootstrap::Attempt,
    lookups::Offer,
    reach::reached,
    roster::Entered,
};

/// Addresses of one peer that enter the routing table: one per family, with room for a change.
const MOST_ADDRESSES: usize = 4;

/// Two nodes that meet may dial each other at once and have two connections; if both closed one,
/// none might be left. A second connection to a peer that has been there this long is only a
/// bootstrap name that led to a known peer.
const ACQUAINTED: Duration = Duration::from_secs(10);

impl Node {
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => self.on_kad(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(&event),
            SwarmEvent::ConnectionEstablished {
                peer_id, connection_id, num_established, ..
            } => {
                self.on_connected(&peer_id, connection_id, num_established.get());
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.on_disconnected(peer_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error } => {
                self.on_dial_failed(peer_id, connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                debug!(from = %send_back_addr, %error, "no handshake with who came to the DHT");
                self.seat.metrics.turned_away.inc();
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.me.extend(socket_addr(&address));
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                warn!(?addresses, ?reason, "a listener closed: peers cannot reach this node there");
            }
            _ => {}
        }
    }

    fn on_kad(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { id, result, stats, .. } = event else {
            return;
        };
        let now = Instant::now();
        match result {
            QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                self.lookups.note(id, stats.num_successes() + stats.num_failures(), now);
                self.on_providers(id, providers);
            }
            QueryResult::GetProviders(_) => self.lookups.walk_ended(id),
            QueryResult::StartProviding(sent) => {
                let reached = sent.map_or(0, |_| reached(&stats));
                self.announcements.walk_ended(id, reached, self.roster.len(), now);
            }
            _ => {}
        }
    }

    fn on_providers(&mut self, walk: QueryId, providers: HashSet<PeerId>) {
        let me = *self.swarm.local_peer_id();
        for provider in providers.into_iter().filter(|provider| *provider != me) {
            let peer = self.roster.get(&provider);
            if self.lookups.offer(walk, provider, peer) == Offer::Dial {
                self.dial_provider(provider);
            }
        }
    }

    /// kad adds the addresses that came with the answers of running walks; those of our own
    /// records have to be given.
    fn dial_provider(&mut self, provider: PeerId) {
        if self.swarm.is_connected(&provider) {
            // It will identify itself without being asked.
            return;
        }
        let addresses = self.kad().store_mut().addresses(&provider);
        let dial = DialOpts::peer_id(provider)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .build();
        match self.swarm.dial(dial) {
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(_) => self.lookups.unreachable(&provider),
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        let (identify::Event::Received { peer_id, info, .. }
        | identify::Event::Pushed { peer_id, info, .. }) = event
        else {
            return;
        };
        if !self.swarm.is_connected(&peer_id) {
            return;
        }
        if info.protocols.contains(&KAD_PROTOCOL) {
            for address in info.listen_addrs.iter().take(MOST_ADDRESSES) {
                self.kad().add_address(&peer_id, address.clone());
            }
        }
        let now = Instant::now();
        match self.roster.identified(peer_id, &info, now) {
            Entered::New { replaced } => self.on_new_peer(replaced, now),
            Entered::Known => self.show(),
            Entered::Stranger => {
                debug!(%peer_id, agent = ?info.agent_version, "not a onepull node");
                self.lookups.unreachable(&peer_id);
            }
        }
        if let Some(peer) = self.roster.get(&peer_id) {
            self.lookups.identified(&peer_id, peer);
        }
    }

    fn on_new_peer(&mut self, replaced: Option<PeerId>, now: Instant) {
        if let Some(replaced) = replaced {
            self.kad().remove_peer(&replaced);
        }
        self.settled.get_or_insert(now + SETTLE);
        if self.roster.len() == 1 {
            self.looks.joined(now);
        }
        self.show();
    }

    /// A connection on which pings go unanswered is dead, whatever the kernel says. The peer may
    /// still be there on another one.
    fn on_ping(&mut self, event: &ping::Event) {
        let silent =
            matches!(event.result, Err(ping::Failure::Timeout | ping::Failure::Other { .. }));
        if silent && self.swarm.close_connection(event.connection) {
            debug!(peer_id = %event.peer, "a peer does not answer");
        }
    }

    fn on_connected(&mut self, peer: &PeerId, connection: ConnectionId, connections: u32) {
        let Some(dial) = self.dials.remove(&connection) else {
            return;
        };
        let now = Instant::now();
        self.bootstrap.connected(dial.index, now);
        let since = self.roster.since(peer).filter(|_| connections > 1);
        if since.is_some_and(|since| now >= since + ACQUAINTED) {
            self.swarm.close_connection(connection);
        }
        self.show();
    }

    /// A peer that closed an idle connection is there again in milliseconds; one that died is
    /// refused and leaves the routing table, so that no walk waits for it.
    fn on_disconnected(&mut self, peer: PeerId) {
        self.forget(&peer);
        let redial = DialOpts::peer_id(peer).build();
        if let Err(error) = self.swarm.dial(redial) {
            self.on_unreachable(&peer, &error);
        }
    }

    fn on_dial_failed(
        &mut self,
        peer: Option<PeerId>,
        connection: ConnectionId,
        error: &DialError,
    ) {
        let dial = self.dials.remove(&connection);
        if let (Some(dial), DialError::LocalPeerId { .. }) = (dial, error) {
            // A service address that stands for this node.
            self.attempted(dial.index, if dial.alone { Attempt::Me } else { Attempt::Open });
        }
        if let Some(peer) = peer {
            self.on_unreachable(&peer, error);
        }
    }

    fn on_unreachable(&mut self, peer: &PeerId, error: &DialError) {
        let is_being_dialed = matches!(error, DialError::DialPeerConditionFalse(_));
        if is_being_dialed || self.swarm.is_connected(peer) {
            return;
        }
        debug!(peer_id = %peer, %error, "a peer cannot be reached");
        self.kad().remove_peer(peer);
        self.lookups.unreachable(peer);
    }

    fn forget(&mut self, peer: &PeerId) {
        if self.roster.lost(peer) {
            if self.roster.len() == 0 {
                self.bootstrap.lonely(Instant::now());
            }
            self.show();
        }
    }
}
