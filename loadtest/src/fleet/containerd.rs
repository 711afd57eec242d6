//! Real nodes: a containerd and an agent process each, in a network namespace with a shaped link.
//!
//! The registry is a real one, in a namespace of its own; what it sends is read from its link's
//! counter, so headers and retransmissions count. Pulls are CRI's, as the kubelet's are. Needs root.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::future::join_all;
use onepull_testbed::{Host, Lab, Version, net::Traffic};
use tokio::time::{Duration, sleep};

use super::{Account, Fleet, FleetError, Meter, Steered};
use crate::{
    arm::Arm,
    image::Image,
    origin::TAG,
    report::{Flow, REGISTRY},
    transfers::Transfers,
    units::LinkRate,
};

mod access;
mod agent;
mod feeds;
mod held;
mod hosts;
mod hurt;
mod join;
mod node;
mod origin;
mod probe;
mod spegel;
mod start;
mod steer;

use start::{check_requirements, start_nodes, start_origins};

pub(crate) use agent::{Agent, Orders};
pub use feeds::Feeds;
pub(crate) use node::Node;
pub(crate) use origin::Origin;
pub use spegel::version as spegel_version;

/// How long all arms rest when they are ready. Agents that have just started prove themselves to each other, which
/// took all of two cores for the first two seconds of a pull on sixteen nodes.
const SETTLED: Duration = Duration::from_secs(3);

/// What a fleet of containerds is made of.
#[derive(Clone, Debug)]
pub struct ContainerdConfig {
    /// How nodes get the image.
    pub arm: Arm,
    /// How many there are.
    pub nodes: u32,
    /// A node's link, each way; `None` leaves it as fast as the machine is.
    pub nic: Option<LinkRate>,
    /// The uplink of a registry; `None` as for a node.
    pub registry: Option<LinkRate>,
    /// Whether agents have a cluster key, and peers speak TLS.
    pub secure: bool,
    /// Which containerd.
    pub version: Version,
    /// The agent's program.
    pub agent: PathBuf,
    /// Spegel's program, which the arm of that name needs.
    pub spegel: Option<PathBuf>,
    /// How many nodes there are beside these, last in order and without an agent until they
    /// [`join`](ContainerdFleet::join).
    pub late: u32,
    /// A node whose containerd keeps its files on a disk that can be filled up.
    pub small_disk: Option<usize>,
}

/// The nodes and their registry, or registries. Fields are in the order in which they have to go.
pub struct ContainerdFleet {
    nodes: Vec<Node>,
    /// One for all, or one for each node.
    origins: Vec<Origin>,
    image: Arc<Image>,
    lab: Lab,
    config: ContainerdConfig,
    /// The counters when all had started, registries first.
    before: Vec<Traffic>,
    /// The last counters that could be read.
    latest: Mutex<Meter>,
    folder: tempfile::TempDir,
}

// === impl ContainerdFleet ===

impl ContainerdFleet {
    /// Starts registries, containerds and agents; what they keep is below `scratch` and in the
    /// folder for temporary files.
    ///
    /// # Errors
    /// When something that is needed is missing (says what), or a part does not become ready.
    pub async fn start(
        config: &ContainerdConfig,
        image: Arc<Image>,
        scratch: &Path,
    ) -> Result<Self, FleetError> {
        check_requirements(config)?;
        let folder = tempfile::Builder::new().prefix("nodes-").tempdir_in(scratch);
        let folder = folder.map_err(FleetError::setup("make a folder for the nodes"))?;
        let lab = Lab::new().map_err(FleetError::setup("make a network"))?;
        let origins = start_origins(config, &lab, &image, scratch).await?;
        let nodes = start_nodes(config, &lab, &origins, &image, folder.path()).await?;
        let mut fleet = Self {
            nodes,
            origins,
            image,
            lab,
            config: config.clone(),
            before: Vec::new(),
            latest: Mutex::default(),
            folder,
        };
        fleet.start_mirrors().await?;
        sleep(SETTLED).await;
        fleet.before = fleet.traffic().map_err(FleetError::setup("read the links' counters"))?;
        fleet.meter();
        Ok(fleet)
    }

    async fn start_mirrors(&self) -> Result<(), FleetError> {
        let early: Vec<_> = (0..self.config.nodes as usize).collect();
        match self.config.arm {
            Arm::Onepull => self.join(&early).await,
            Arm::Spegel => self.start_spegel().await,
            Arm::Direct | Arm::Ideal => Ok(()),
        }
    }

    fn traffic(&self) -> anyhow::Result<Vec<Traffic>> {
        self.lab.traffic(self.hosts())
    }

    /// Registries first, then nodes.
    fn hosts(&self) -> impl Iterator<Item = &Host> {
        let origins = self.origins.iter().map(|origin| &origin.host);
        origins.chain(self.nodes.iter().map(|node| &node.host))
    }

    fn name_of(&self, ip: IpAddr) -> Option<&str> {
        let node = self.nodes.iter().find(|node| IpAddr::V4(node.host.ip()) == ip);
        node.map(|node| node.name.as_str())
    }

    fn registry_flows(&self) -> Result<Vec<Flow>, FleetError> {
        let mut flows = Vec::new();
        for origin in &self.origins {
            for (client, bytes) in origin.sent()? {
                // skopeo filled the registry from its own address; that is no pull.
                if let Some(name) = self.name_of(client) {
                    flows.push(Flow { from: REGISTRY.into(), to: name.to_owned(), bytes });
                }
            }
        }
        Ok(flows)
    }

    fn peer_flows(&self) -> Result<Vec<Flow>, FleetError> {
        let transfers = Transfers::default();
        for agent in self.nodes.iter().filter_map(|node| node.agent.get()) {
            agent.read_transfers(&transfers)?;
        }
        let flows = transfers.take().into_iter().map(|(to, peer, bytes)| {
            let from = self.name_of(peer).map_or_else(|| peer.to_string(), str::to_owned);
            Flow { from, to, bytes }
        });
        Ok(flows.collect())
    }
}

#[async_trait]
impl Fleet for ContainerdFleet {
    fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    async fn pull(&self, node: usize) -> Result<(), FleetError> {
        self.nodes[node].pull(TAG).await
    }

    async fn findable(&self, node: usize) -> Result<(), FleetError> {
        let node = &self.nodes[node];
        let blobs = self.image.sizes.len();
        match (node.agent.get(), node.spegel.get()) {
            (Some(agent), _) => agent.announced(node, blobs).await,
            (None, Some(spegel)) => spegel.announced(node, blobs).await,
            (None, None) => Ok(()),
        }
    }

    fn steered(&self) -> Option<&dyn Steered> {
        (self.config.arm == Arm::Onepull).then_some(self)
    }

    fn meter(&self) -> Meter {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(now) = self.traffic() {
            let moved = now.iter().zip(&self.before);
            let origins = self.origins.len();
            let egress = moved.clone().take(origins).map(|(now, then)| now.tx - then.tx).sum();
            let received = moved.skip(origins).map(|(now, then)| now.rx - then.rx).collect();
            *latest = Meter { egress, egress_wire: egress, received };
        }
        latest.clone()
    }

    async fn finish(&self) -> Result<Account, FleetError> {
        let lacking = join_all(self.nodes.iter().map(|node| node.lacks(&self.image))).await;
        let mut flows = self.registry_flows()?;
        flows.extend(self.peer_flows()?);
        Ok(Account { flows, lacking })
    }
}
