//! The libp2p protocols that a node takes part in, and their settings.

use std::time::Duration;

use libp2p::{
    StreamProtocol, Swarm,
    connection_limits::{self, ConnectionLimits},
    core::upgrade::Version,
    identify,
    identity::Keypair,
    kad::{self, K_VALUE},
    noise, ping,
    swarm::{self, NetworkBehaviour},
};

use super::{agent_version::AgentVersion, provider_store::ProviderStore, transport::transport};

/// The DHT's own name: nodes of another cluster software's DHT never mix with ours.
pub(super) const KAD_PROTOCOL: StreamProtocol = StreamProtocol::new("/onepull/kad/1.0.0");

const IDENTIFY_PROTOCOL: &str = "/onepull/id/1.0.0";

/// Connections without traffic are closed after this time. The walks of [`REFRESH`] come more
/// often, so peers in the routing table stay connected and only chance acquaintances are dropped.
const IDLE_CONNECTION: Duration = Duration::from_secs(5 * 60);

/// How often kad looks for its own neighbourhood again; shorter than [`IDLE_CONNECTION`].
pub(super) const REFRESH: Duration = Duration::from_secs(4 * 60);

/// The backstop for any walk. Searches and announcements end theirs much earlier, and differently:
/// an announcement that kad times out reaches nobody, not even the peers that answered.
const LONGEST_QUERY: Duration = Duration::from_secs(10);

/// One request to one peer. Longer than any walk waits for it, short enough that streams to a dead
/// peer do not pile up.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);

/// A message names up to 20 providers and 20 closer peers of some 150 bytes, more with several
/// addresses each; kad's own 16 KiB would cut that.
const LARGEST_MESSAGE: usize = 64 * 1024;

/// A peer that froze, or whose machine died, keeps its connection. The protocol forgives one
/// missed ping and then waits 10 s for a new stream, so it is noticed within 25 s; until then each
/// walk past it waits a little longer (see `patience`). A ping is some 100 bytes and 50 us, so 200
/// peers cost 0.2 % of a core.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_DEADLINE: Duration = Duration::from_secs(3);

/// Handshakes that others have begun and not ended, each some 20 KiB: a thousand nodes that start together are
/// through in seconds, and come again where they were refused; strangers that say nothing have these.
const HANDSHAKES: u32 = 512;

/// Connections of others: many times what a node has in its routing table.
const CONNECTIONS: u32 = 4096;

/// What runs on each connection.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) kad: kad::Behaviour<ProviderStore>,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    limits: connection_limits::Behaviour,
}

/// A swarm of the node named by `keypair`, among those that know `pre_shared`; not listening yet.
///
/// # Errors
/// The key does not suit noise.
pub(super) fn swarm(
    keypair: &Keypair,
    pre_shared: Option<[u8; 32]>,
    agent_version: &AgentVersion,
    record_ttl: Duration,
) -> Result<Swarm<Behaviour>, noise::Error> {
    let local = keypair.public().to_peer_id();
    // Only the advertised address is worth dialing; a node's other addresses may be the same on
    // every node (bridges, link-local).
    let identify = identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), keypair.public())
        .with_agent_version(agent_version.to_string())
        .with_hide_listen_addrs(true);
    let ping = ping::Config::new().with_interval(PING_EVERY).with_timeout(PING_DEADLINE);
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(HANDSHAKES))
        .with_max_established_incoming(Some(CONNECTIONS));
    let mut kad = kad::Behaviour::with_config(local, ProviderStore::new(local), kad(record_ttl));
    kad.set_mode(Some(kad::Mode::Server));
    let behaviour = Behaviour {
        kad,
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        limits: connection_limits::Behaviour::new(limits),
    };
    // Each stream is for one protocol, which all nodes speak: a request goes with its name, and a search
    // takes one round trip instead of two.
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_CONNECTION)
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Ok(Swarm::new(transport(keypair, pre_shared)?, behaviour, local, config))
}

/// Peers enter the routing table when Identify has told their address, provider records are
/// republished by our own queue, and value records do not exist here: all of kad's own jobs are off.
fn kad(record_ttl: Duration) -> kad::Config {
    let mut config = kad::Config::new(KAD_PROTOCOL);
    config
        // All of the 20 closest at once: a lookup takes one round trip, and up to 19 dead peers
        // keep no live one from being asked.
        .set_parallelism(K_VALUE)
        .set_query_timeout(LONGEST_QUERY)
        .set_substreams_timeout(LONGEST_REQUEST)
        .set_max_packet_size(LARGEST_MESSAGE)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_periodic_bootstrap_interval(Some(REFRESH))
        .set_provider_record_ttl(Some(record_ttl))
        .set_provider_publication_interval(None)
        .set_record_ttl(Some(record_ttl))
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_caching(kad::Caching::Disabled);
    config
}
