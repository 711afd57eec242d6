//! All parts of the cluster, started and waited for.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::try_join_all;
use jiff::Timestamp;
use onepull_testbed::{
    Lab, Requirement, Shape, deadline::eventually, layout::Spec, missing, tools,
};

use super::{
    ClusterConfig,
    api::Objects,
    control::Control,
    fault::Fault,
    file::{File, Named},
    objects::{self, AGENT},
    private::{self, Means},
};
use crate::{
    fleet::{
        FleetError,
        containerd::{Agent, Node, Orders, Origin},
    },
    image::Image,
};

/// A controller takes the lease, and tells each node about itself, within seconds.
const SETTLED: Duration = Duration::from_secs(60);

/// The cluster. Fields are in the order in which they have to go.
pub(super) struct Stage {
    pub(super) nodes: Vec<Node>,
    pub(super) control: Control,
    means: Means,
    pub(super) origin: Origin,
    pub(super) lab: Lab,
    pub(super) file: File,
    pub(super) images: Vec<Wanted>,
    pub(super) config: ClusterConfig,
    folder: tempfile::TempDir,
}

/// An image of the file, and what it is made of.
pub(super) struct Wanted {
    pub(super) named: Named,
    pub(super) image: Image,
}

// === impl Stage ===

impl Stage {
    /// Starts everything but the rollout.
    pub(super) async fn start(config: &ClusterConfig, scratch: &Path) -> Result<Self, FleetError> {
        check_requirements(config)?;
        let folder = tempfile::Builder::new().prefix("cluster-").tempdir_in(scratch);
        let folder = folder.map_err(FleetError::setup("make a folder for the cluster"))?;
        let lab = Lab::new().map_err(FleetError::setup("make a network"))?;
        let auth = private::auth(config.private);
        let origin = Origin::start(&lab, 1, Some(config.registry), auth, scratch).await?;
        let registry = origin.registry.name();
        let file = private::file(config.private, File::new(&registry)?)?;
        tracing::info!("making {} images for the registry", file.images().len());
        let images = push_images(config, &file, &origin, scratch).await?;
        tracing::info!("starting etcd and kube-apiserver");
        let control = Control::start(&lab, folder.path()).await?;
        let surroundings = objects::surroundings(&file, &registry).to_string();
        control.create("surroundings", &surroundings).await?;
        control.install().await?;
        let means = Means::prepare(config.private, &registry, folder.path())?;
        tracing::info!("starting {} nodes", config.nodes);
        let nodes = start_nodes(config, &lab, &origin, folder.path()).await?;
        let config = config.clone();
        let mut stage = Self { nodes, control, means, origin, lab, file, images, config, folder };
        stage.register_nodes().await?;
        stage.start_agents().await?;
        stage.start_controllers(&registry).await?;
        Ok(stage)
    }

    /// The indices of the images that a node is to hold in the end.
    pub(super) fn wanted(&self, node: usize) -> Vec<usize> {
        let lists = self.file.lists_of(node);
        let wanted = self.images.iter().enumerate();
        let wanted = wanted.filter(|(_, image)| lists.contains(&image.named.list));
        wanted.map(|(index, _)| index).collect()
    }

    /// Bytes of all images together: what the registry has to send once.
    pub(super) fn unique_bytes(&self) -> u64 {
        self.images.iter().map(|wanted| wanted.image.bytes()).sum()
    }

    /// What passed the registry's link and those of the nodes: sent by the first, received by each.
    pub(super) fn traffic(&self) -> Result<(u64, Vec<u64>), FleetError> {
        let hosts = self.nodes.iter().map(|node| &node.host);
        let traffic = self.lab.traffic(std::iter::once(&self.origin.host).chain(hosts));
        let traffic = traffic.map_err(FleetError::setup("read the links' counters"))?;
        let received = traffic.iter().skip(1).map(|traffic| traffic.rx).collect();
        Ok((traffic[0].tx, received))
    }

    /// Copies the logs of agents and controllers to a folder, which it makes; those that cannot be
    /// copied are told and lost.
    pub(super) fn save_logs(&self, to: &Path) {
        let copy = || -> std::io::Result<()> {
            fs::create_dir_all(to)?;
            let agents = self.nodes.iter().filter_map(|node| Some(node.agent.get()?.log.as_path()));
            let controllers = self.control.controllers.iter().map(|controller| controller.log());
            agents.chain(controllers).chain([self.control.server.log()]).try_for_each(|log| {
                fs::copy(log, to.join(log.file_name().unwrap_or_default())).map(|_| ())
            })
        };
        if let Err(error) = copy() {
            tracing::warn!(%error, folder = %to.display(), "the logs are lost");
        }
    }

    async fn register_nodes(&self) -> Result<(), FleetError> {
        let (now, mut objects) = (Timestamp::now(), Vec::new());
        for (index, node) in self.nodes.iter().enumerate() {
            objects.push(objects::node(&node.name, &self.file.labels_of(index), now));
            objects.push(objects::agent_pod(&node.name));
        }
        self.control.create("nodes", &objects::list(objects).to_string()).await
    }

    async fn start_agents(&self) -> Result<(), FleetError> {
        let first = self.nodes.first().map(|node| node.host.ip());
        for (index, node) in self.nodes.iter().enumerate() {
            let pod = objects::pod_name(&node.name);
            let kubeconfig = self.control.kubeconfig(AGENT, Some(&pod)).await?;
            let bootstrap = first.filter(|_| index > 0);
            let (program, orders) = (&self.config.agent, self.orders(&pod, &kubeconfig).await?);
            let agent = Agent::spawn(program, node, bootstrap, self.folder.path(), &orders, None)?;
            // A stage starts once.
            let _ = node.agent.set(agent);
        }
        let others = self.config.nodes.saturating_sub(1);
        try_join_all(self.nodes.iter().map(|node| node.agent_ready(others))).await?;
        Ok(())
    }

    /// Starts a node's agent again, with the kubeconfig that it had, and waits until it serves.
    pub(super) async fn start_agent_again(&self, index: usize) -> Result<(), FleetError> {
        let node = &self.nodes[index];
        let Some(agent) = node.agent.get() else { return Ok(()) };
        let pod = objects::pod_name(&node.name);
        let kubeconfig = self.control.kubeconfig(AGENT, Some(&pod)).await?;
        let orders = self.orders(&pod, &kubeconfig).await?;
        // Anybody but itself.
        let other = self.nodes.iter().find(|other| other.name != node.name);
        let (program, folder) = (&self.config.agent, self.folder.path());
        let bootstrap = other.map(|other| other.host.ip());
        agent.respawn(program, node, bootstrap, folder, &orders).await?;
        node.agent_ready(1).await
    }

    /// What the agent that has this pod is told.
    async fn orders(&self, pod: &str, kubeconfig: &Path) -> Result<Orders, FleetError> {
        let mut flags = vec!["--kube".into()];
        flags.extend(self.means.flags(&self.control, pod).await?);
        Ok(Orders::Cluster { kubeconfig: kubeconfig.to_owned(), flags })
    }

    /// One, and another one to take over where it is to die.
    async fn start_controllers(&mut self, registry: &str) -> Result<(), FleetError> {
        tracing::info!("starting the controller");
        let program = self.config.controller.clone();
        self.control.start_controller(&program, registry).await?;
        if self.config.fault == Some(Fault::Controller) {
            self.control.start_controller(&program, registry).await?;
        }
        Ok(())
    }

    /// Waits until each node has been told of itself, and has told its disk.
    pub(super) async fn settle(&self) -> Result<(), FleetError> {
        let objects = self.objects().await?;
        let settled = eventually("a NodeImageCache of each node", SETTLED, async || {
            let seen = objects.look().await.ok()?;
            let told =
                seen.nodes.values().filter_map(|object| object.status.as_ref()?.disk.as_ref());
            (told.count() == self.nodes.len()).then_some(())
        });
        settled.await.map_err(|error| {
            let tails = self.control.controllers.iter().map(|controller| controller.tail());
            let said = tails.collect::<Vec<_>>().join("\n");
            FleetError::setup("see the controller and the agents at work")(
                error.context(format!("the controller's log ends:\n{said}")),
            )
        })
    }

    pub(super) async fn objects(&self) -> Result<Objects, FleetError> {
        Ok(Objects::new(self.control.client().await?, &self.file))
    }
}

/// Names what is missing on this machine.
fn check_requirements(config: &ClusterConfig) -> Result<(), FleetError> {
    let needs = [
        Requirement::Root,
        Requirement::Iproute,
        Requirement::Registry,
        Requirement::Containerd22,
        Requirement::Kubernetes,
    ];
    let step = "make a cluster";
    if let Some(reason) = missing(&needs) {
        return Err(FleetError::setup(step)(reason));
    }
    for (program, flag) in
        [(&config.agent, "--agent-bin"), (&config.controller, "--controller-bin")]
    {
        if !program.is_file() {
            let reason = format!("there is no program at {}: see {flag}", program.display());
            return Err(FleetError::setup(step)(reason));
        }
    }
    if !(tools::kubernetes_is_built() && tools::containerd_2_is_built()) {
        tracing::info!("building containerd and kube-apiserver, once: about 8 minutes");
    }
    Ok(())
}

/// Each image has other bytes.
async fn push_images(
    config: &ClusterConfig,
    file: &File,
    origin: &Origin,
    scratch: &Path,
) -> Result<Vec<Wanted>, FleetError> {
    let mut images = Vec::new();
    for (named, seed) in file.images().into_iter().zip(1..) {
        let spec = Spec::even(config.image_size.bytes(), u64::from(config.layers), seed);
        let image = generate(scratch.join(format!("image-{seed}")), spec).await?;
        let (repository, tag) = named.parts();
        let repository = repository.split_once('/').map_or(repository, |(_, path)| path);
        origin.push_to(repository, &image, tag).await?;
        images.push(Wanted { named, image });
    }
    Ok(images)
}

async fn generate(folder: PathBuf, spec: Spec) -> Result<Image, FleetError> {
    let made = tokio::task::spawn_blocking(move || Image::generate(&folder, &spec)).await;
    let made = made.map_err(FleetError::setup("make an image"))?;
    made.map_err(FleetError::setup("make an image"))
}

/// Their containerds; agents come later.
async fn start_nodes(
    config: &ClusterConfig,
    lab: &Lab,
    origin: &Origin,
    folder: &Path,
) -> Result<Vec<Node>, FleetError> {
    let shape = Shape::both(config.nic.bits_per_second());
    let hosts = (1..=config.nodes).map(|number| {
        let host = lab.node(&format!("n{number}"), shape);
        let name = format!("node-{number}");
        Ok((host.map_err(FleetError::setup(format!("connect {name}")))?, name))
    });
    let hosts = hosts.collect::<Result<Vec<_>, FleetError>>()?;
    let nodes = hosts.into_iter().map(|(host, name)| {
        let hosts_dir = folder.join(&name);
        Node::start(name, host, config.version, hosts_dir, origin, None)
    });
    try_join_all(nodes).await
}
