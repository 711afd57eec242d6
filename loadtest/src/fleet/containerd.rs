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
use futures::future::{join_all, try_join_all};
use onepull_testbed::{Host, Lab, Requirement, Shape, Version, missing, net::Traffic};

use super::{Account, Fleet, FleetError, Meter};
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
mod hosts;
mod node;
mod origin;
mod probe;

use agent::Agent;
use node::Node;
use origin::Origin;

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
    /// Which containerd.
    pub version: Version,
    /// The agent's program.
    pub agent: PathBuf,
}

/// The nodes and their registry, or registries. Fields are in the order in which they have to go.
pub struct ContainerdFleet {
    nodes: Vec<Node>,
    /// One for all, or one for each node.
    origins: Vec<Origin>,
    image: Arc<Image>,
    lab: Lab,
    /// The counters when all had started, registries first.
    before: Vec<Traffic>,
    /// The last counters that could be read.
    latest: Mutex<Meter>,
    _folder: tempfile::TempDir,
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
        let nodes = (1..=config.nodes).zip(origins.iter().cycle()).map(|(number, origin)| {
            let name = format!("node-{number}");
            let shape = config.nic.map_or(Shape::OPEN, |nic| Shape::both(nic.bits_per_second()));
            let host = lab.node(&format!("n{number}"), shape);
            let host = host.map_err(FleetError::setup(format!("connect {name}")))?;
            Ok((name, host, origin))
        });
        let nodes = nodes.collect::<Result<Vec<_>, FleetError>>()?;
        let nodes = nodes.into_iter().map(|(name, host, origin)| {
            let hosts_dir = folder.path().join(&name);
            Node::start(name, host, config.version, hosts_dir, origin)
        });
        let mut nodes = try_join_all(nodes).await?;
        if config.arm == Arm::Onepull {
            start_agents(&mut nodes, &config.agent, folder.path()).await?;
        }
        let mut fleet = Self {
            nodes,
            origins,
            image,
            lab,
            before: Vec::new(),
            latest: Mutex::default(),
            _folder: folder,
        };
        fleet.before = fleet.traffic().map_err(FleetError::setup("read the links' counters"))?;
        fleet.meter();
        Ok(fleet)
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
        for agent in self.nodes.iter().filter_map(|node| node.agent.as_ref()) {
            agent.read_transfers(&transfers)?;
        }
        let flows = transfers.take().into_iter().map(|(to, peer, bytes)| {
            let from = self.name_of(peer).map_or_else(|| peer.to_string(), str::to_owned);
            Flow { from, to, bytes }
        });
        Ok(flows.collect())
    }
}

fn check_requirements(config: &ContainerdConfig) -> Result<(), FleetError> {
    let containerd = match config.version {
        Version::V1_6 => Requirement::Containerd16,
        Version::V2_2 => Requirement::Containerd22,
    };
    let lab = [Requirement::Root, Requirement::Iproute, Requirement::Registry, containerd];
    let step = "make nodes of real containerds";
    if let Some(reason) = missing(&lab) {
        return Err(FleetError::setup(step)(reason));
    }
    if config.arm == Arm::Onepull && !config.agent.is_file() {
        let reason = format!("there is no agent at {}: see --agent-bin", config.agent.display());
        return Err(FleetError::setup(step)(reason));
    }
    Ok(())
}

async fn start_origins(
    config: &ContainerdConfig,
    lab: &Lab,
    image: &Image,
    scratch: &Path,
) -> Result<Vec<Origin>, FleetError> {
    let count = if config.arm == Arm::Ideal { config.nodes } else { 1 };
    let mut origins = Vec::new();
    for number in 1..=count {
        origins.push(Origin::start(lab, number, config.registry, scratch).await?);
        if number == 1 {
            // They share a storage folder, which outlives them: one push is enough for all.
            origins[0].push(image, TAG).await?;
        }
    }
    Ok(origins)
}

async fn start_agents(nodes: &mut [Node], program: &Path, folder: &Path) -> Result<(), FleetError> {
    let bootstrap = nodes.first().map(|node| node.host.ip());
    for (index, node) in nodes.iter_mut().enumerate() {
        let bootstrap = bootstrap.filter(|_| index > 0);
        node.agent = Some(Agent::spawn(program, node, bootstrap, folder)?);
    }
    let others = u32::try_from(nodes.len()).unwrap_or(u32::MAX).saturating_sub(1);
    try_join_all(nodes.iter_mut().map(|node| node.agent_ready(others))).await?;
    Ok(())
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
        match &self.nodes[node].agent {
            Some(agent) => agent.announced(&self.nodes[node], self.image.sizes.len()).await,
            None => Ok(()),
        }
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
