//! The agents beside the embedded nodes: the real thing but for the store.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use onepull_agent::node::{Node as AgentNode, NodeConfig};
use onepull_mirror::{Deadlines, Store};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

use super::{FleetError, Node};
use crate::{key, scrape, units::LinkRate};

/// Joining takes milliseconds on loopback; hundreds of nodes on two busy cores take some seconds.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Announcing a blob is a DHT walk among live neighbours.
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(60);
/// Short beside both.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// The agent's gauge of what it announces.
const ANNOUNCED: &str = "onepull_router_announced_digests";

/// One agent a node, or none at all.
pub(super) struct Agents {
    mirrors: Vec<SocketAddr>,
    registries: Vec<Registry>,
    /// Taken to be stopped.
    running: Mutex<Vec<AgentNode>>,
}

// === impl Agents ===

impl Agents {
    /// No agents.
    pub(super) fn none() -> Self {
        Self { mirrors: Vec::new(), registries: Vec::new(), running: Mutex::default() }
    }

    /// Starts an agent beside each node, with a cluster key if they are to be `secure`, and waits
    /// until all have joined.
    pub(super) async fn start(
        nodes: &[Node],
        uplink: LinkRate,
        secure: bool,
    ) -> Result<Self, FleetError> {
        let mut agents = Self::none();
        let mut running: Vec<AgentNode> = Vec::new();
        for node in nodes {
            let mut config = config(node, uplink);
            config.cluster_key = secure.then(key::cluster_key);
            config.bootstrap = running.first().map(bootstrap).into_iter().collect();
            let store: Arc<dyn Store> = Arc::clone(&node.store) as _;
            let mut registry = Registry::default();
            let started = AgentNode::start(config, store, &mut registry).await;
            let (agent, _deliveries) =
                started.map_err(FleetError::setup(format!("start the agent of {}", node.name)))?;
            agents.mirrors.push(agent.mirror_addr());
            agents.registries.push(registry);
            running.push(agent);
        }
        wait_until_joined(&running).await?;
        agents.running = Mutex::new(running);
        Ok(agents)
    }

    /// Where the nodes' mirrors listen.
    pub(super) fn mirrors(&self) -> impl Iterator<Item = SocketAddr> {
        self.mirrors.iter().copied()
    }

    /// Waits until a node announces at least `blobs` digests.
    pub(super) async fn announced(&self, node: usize, blobs: usize) -> Result<(), FleetError> {
        let Some(registry) = self.registries.get(node) else { return Ok(()) };
        let blobs = f64::from(u32::try_from(blobs).unwrap_or(u32::MAX));
        let wait = async {
            while announces(registry).is_none_or(|count| count < blobs) {
                sleep(ASK_AGAIN).await;
            }
        };
        timeout(ANNOUNCE_LIMIT, wait).await.map_err(|_| FleetError::Late {
            what: format!("node {node} did not announce its {blobs} blobs"),
            seconds: ANNOUNCE_LIMIT.as_secs(),
        })
    }

    /// Stops all of them.
    pub(super) async fn stop(&self) {
        let running = std::mem::take(&mut *self.running.lock().await);
        futures::future::join_all(running.into_iter().map(AgentNode::stop)).await;
    }
}

fn config(node: &Node, uplink: LinkRate) -> NodeConfig {
    let anywhere = SocketAddr::new(node.ip, 0);
    NodeConfig {
        name: node.name.clone(),
        mirror_listen: anywhere,
        peer_listen: anywhere,
        p2p_listen: anywhere,
        advertise_ip: node.ip,
        bootstrap: Vec::new(),
        rendezvous: None,
        zone: None,
        cluster_key: None,
        identity: None,
        upload: Some(uplink.bytes_per_second()),
        deadlines: Deadlines::default(),
    }
}

fn bootstrap(first: &AgentNode) -> onepull_agent::p2p::HostPort {
    first.router().local_addr().into()
}

/// Until each knows all others: a fleet that is still forming measures how it forms.
async fn wait_until_joined(running: &[AgentNode]) -> Result<(), FleetError> {
    let wait = async {
        for agent in running {
            while agent.router().peers() + 1 < running.len() {
                sleep(ASK_AGAIN).await;
            }
        }
    };
    timeout(READY_LIMIT, wait).await.map_err(|_| FleetError::Late {
        what: "the agents did not find each other".into(),
        seconds: READY_LIMIT.as_secs(),
    })
}

fn announces(registry: &Registry) -> Option<f64> {
    let mut text = String::new();
    encode(&mut text, registry).ok()?;
    scrape::metric(&text, ANNOUNCED)
}
