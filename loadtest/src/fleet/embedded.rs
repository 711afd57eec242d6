//! Nodes in this process: an embedded puller, a folder as store, the real agent, loopback addresses.
//!
//! Each node has an address of its own in 127.0.1.0/24, so that who served whom shows in the
//! addresses. Its link is two token buckets: one on what its puller receives, one on what its agent
//! sends to peers.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use onepull_mirror::{Store, Throttle, store::FolderStore};

use super::{Account, Fleet, FleetError, Meter};
use crate::{
    arm::Arm,
    image::Image,
    origin::{Faults, Origin, REPOSITORY, TAG},
    puller::{Puller, Source},
    report::{Flow, REGISTRY},
    transfers::Transfers,
    units::LinkRate,
};

mod agents;

use agents::Agents;

/// Nodes that fit into 127.0.1.1 to 127.0.1.250.
pub const MOST_NODES: u32 = 250;

/// What an embedded fleet is made of.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// How nodes get the image.
    pub arm: Arm,
    /// How many there are; at most [`MOST_NODES`].
    pub nodes: u32,
    /// A node's link, each way.
    pub nic: LinkRate,
    /// The uplink of a registry.
    pub registry: LinkRate,
    /// Whether agents have a cluster key, and peers speak TLS.
    pub secure: bool,
}

/// The nodes and their registry, or registries.
pub struct EmbeddedFleet {
    image: Arc<Image>,
    nodes: Vec<Node>,
    /// One for all, or one for each node.
    origins: Vec<Origin>,
    agents: Agents,
    transfers: Transfers,
    /// The nodes' stores; removed when the fleet is dropped.
    _folder: tempfile::TempDir,
}

struct Node {
    name: String,
    ip: IpAddr,
    store: Arc<FolderStore>,
    puller: Puller,
    source: Source,
}

// === impl EmbeddedFleet ===

impl EmbeddedFleet {
    /// Starts registries, agents and pullers; the nodes' stores are made below `scratch`.
    ///
    /// # Errors
    /// When a port or folder is not to be had, or the agents do not find each other in time.
    pub async fn start(
        config: &EmbeddedConfig,
        image: Arc<Image>,
        transfers: Transfers,
        scratch: &Path,
    ) -> Result<Self, FleetError> {
        let folder = tempfile::Builder::new().prefix("nodes-").tempdir_in(scratch);
        let folder = folder.map_err(FleetError::setup("make a folder for the nodes' stores"))?;
        let origins = start_origins(config, &image).await?;
        let mut nodes = Vec::new();
        for (index, number) in (1..=config.nodes.min(MOST_NODES)).enumerate() {
            let origin = &origins[index.min(origins.len() - 1)];
            nodes.push(Node::new(number, folder.path(), config.nic, origin)?);
        }
        let agents = match config.arm {
            Arm::Onepull => Agents::start(&nodes, config.nic, config.secure).await?,
            // The command line lets Spegel run beside real containerds only.
            Arm::Direct | Arm::Ideal | Arm::Spegel => Agents::none(),
        };
        for (node, mirror) in nodes.iter_mut().zip(agents.mirrors()) {
            node.source.mirror = Some(mirror);
        }
        let _ = transfers.take();
        Ok(Self { image, nodes, origins, agents, transfers, _folder: folder })
    }

    fn name_of(&self, ip: IpAddr) -> String {
        let node = self.nodes.iter().find(|node| node.ip == ip);
        node.map_or_else(|| ip.to_string(), |node| node.name.clone())
    }
}

async fn start_origins(
    config: &EmbeddedConfig,
    image: &Arc<Image>,
) -> Result<Vec<Origin>, FleetError> {
    let count = if config.arm == Arm::Ideal { config.nodes } else { 1 };
    let origins = stream::iter(0..count).then(|_| {
        let uplink = Some(Arc::new(Throttle::new(config.registry.bytes_per_second())));
        Origin::start(Ipv4Addr::LOCALHOST.into(), Arc::clone(image), uplink, Faults::default())
    });
    origins.try_collect().await.map_err(FleetError::setup("start the embedded registry"))
}

#[async_trait]
impl Fleet for EmbeddedFleet {
    fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    async fn pull(&self, node: usize) -> Result<(), FleetError> {
        let node = &self.nodes[node];
        let pulled = node.puller.pull(&node.source, TAG).await;
        pulled
            .map_err(|error| FleetError::Pull { node: node.name.clone(), source: error.into() })?;
        Ok(())
    }

    async fn findable(&self, node: usize) -> Result<(), FleetError> {
        self.agents.announced(node, self.image.sizes.len()).await
    }

    fn meter(&self) -> Meter {
        let egress: Vec<_> = self.origins.iter().map(Origin::egress).collect();
        Meter {
            egress: egress.iter().map(|egress| egress.body).sum(),
            egress_wire: egress.iter().map(|egress| egress.wire).sum(),
            received: self.nodes.iter().map(|node| node.puller.received().total()).collect(),
        }
    }

    async fn finish(&self) -> Result<Account, FleetError> {
        self.agents.stop().await;
        let lacking = self.nodes.iter().map(|node| node.lacks(&self.image));
        let lacking = futures::future::join_all(lacking).await;
        let from_registry = self.nodes.iter().map(|node| Flow {
            from: REGISTRY.into(),
            to: node.name.clone(),
            bytes: node.puller.received().from_origin(),
        });
        let from_peers = self.transfers.take().into_iter().map(|(node, peer, bytes)| Flow {
            from: self.name_of(peer),
            to: node,
            bytes,
        });
        let flows = from_registry.chain(from_peers).filter(|flow| flow.bytes > 0).collect();
        Ok(Account { flows, lacking })
    }
}

// === impl Node ===

impl Node {
    /// The store verified each blob as it was committed, so its presence is enough.
    async fn lacks(&self, image: &Image) -> Option<String> {
        for (digest, size) in &image.sizes {
            let presence = self.store.stat(digest).await.ok().flatten();
            if presence.and_then(|presence| presence.complete()) != Some(*size) {
                return Some(format!("{digest} is not in its store"));
            }
        }
        None
    }

    fn new(number: u32, root: &Path, nic: LinkRate, origin: &Origin) -> Result<Self, FleetError> {
        let name = format!("node-{number}");
        let store = FolderStore::open_or_create(root.join(&name));
        let store = Arc::new(store.map_err(FleetError::setup(format!("make {name}'s store")))?);
        let downlink = Some(Arc::new(Throttle::new(nic.bytes_per_second())));
        let puller = Puller::new(Arc::clone(&store), downlink);
        let source =
            Source { mirror: None, origin: origin.address(), repository: REPOSITORY.to_owned() };
        let base = u32::from(Ipv4Addr::new(127, 0, 1, 0));
        Ok(Self { name, ip: Ipv4Addr::from(base + number).into(), store, puller, source })
    }
}
