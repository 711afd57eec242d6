//! Spegel on a node, to compare with: its `configuration` subcommand points containerd at it, as its
//! chart's init container does, then `registry` serves.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    time::Duration,
};

use futures::future::try_join_all;
use onepull_testbed::{Process, process::run};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

use super::{ContainerdFleet, FleetError, agent::ask, node::Node};
use crate::scrape;

/// Ports inside a node's namespace, where nobody else wants them.
const REGISTRY: u16 = 5000;
const ROUTER: u16 = 5001;
const METRICS: u16 = 9090;
const BOOTSTRAP: u16 = 5002;

/// Its chart allows 180 s until it has found its peers.
const READY_LIMIT: Duration = Duration::from_secs(180);
/// It announces what it holds within seconds.
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(60);
/// Short beside an announcement, long beside the cost of asking.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Its gauge of announced blobs.
const ANNOUNCED: &str = "spegel_advertised_content_digests";

/// A running Spegel; killed when dropped.
pub(super) struct Spegel {
    process: Mutex<Process>,
    registry: SocketAddr,
    metrics: SocketAddr,
}

/// What `program` says when asked for its version.
///
/// # Errors
/// When it cannot be run or knows no such subcommand.
pub fn version(program: &Path) -> Result<String, FleetError> {
    let said = run(Command::new(program).arg("version"));
    let said =
        said.map_err(FleetError::setup(format!("ask {} for its version", program.display())));
    Ok(said?.trim().to_owned())
}

// === impl Spegel ===

impl Spegel {
    /// Points the node's containerd at `program` and starts it; all nodes join through `first`.
    fn spawn(
        program: &Path,
        node: &Node,
        first: Ipv4Addr,
        folder: &Path,
    ) -> Result<Self, FleetError> {
        let ip = node.host.ip();
        let registry = SocketAddr::from((ip, REGISTRY));
        let metrics = SocketAddr::from((ip, METRICS));
        let mut configure = node.host.command(program);
        configure.args(["configuration", "--containerd-registry-config-path"]);
        configure.arg(&node.hosts_dir);
        configure.args(["--mirrored-registries", &node.registry]);
        configure.args(["--mirror-targets", &format!("http://{registry}")]);
        // The table that allows plain HTTP was there before.
        configure.args(["--resolve-tags=true", "--prepend-existing=true"]);
        let started = run(&mut configure).and_then(|_| {
            let mut serve = node.host.command(program);
            serve.args(["registry", "--mirrored-registries", &node.registry]);
            serve.args(["--registry-addr", &registry.to_string()]);
            serve.args(["--router-addr", &format!("{ip}:{ROUTER}")]);
            serve.args(["--metrics-addr", &metrics.to_string()]);
            serve.arg("--containerd-sock").arg(&node.socket);
            serve.arg("--containerd-content-path").arg(&node.content_store);
            serve.arg("--data-dir").arg(folder.join(format!("{}.spegel", node.name)));
            serve.args(["--bootstrap-kind", "http"]);
            serve.args(["--http-bootstrap-addr", &format!("{ip}:{BOOTSTRAP}")]);
            serve.args(["--http-bootstrap-peer", &format!("http://{first}:{BOOTSTRAP}")]);
            // Where a pod is told its own address by Kubernetes.
            serve.env("NODE_IP", ip.to_string());
            Process::spawn(serve, folder.join(format!("{}.log", node.name)))
        });
        let process =
            started.map_err(FleetError::setup(format!("start Spegel on {}", node.name)))?;
        Ok(Self { process: Mutex::new(process), registry, metrics })
    }

    async fn ready(&self, node: &Node) -> Result<(), FleetError> {
        let registry = self.registry;
        let ask = async || match ask(&node.host, registry, "/readyz").await? {
            (200, _) => Some(()),
            _ => None,
        };
        let mut process = self.process.lock().await;
        let ready = process.ready("Spegel became ready", READY_LIMIT, ask).await;
        ready.map_err(FleetError::setup(format!("start Spegel on {}", node.name)))
    }

    /// Waits until it announces at least `blobs` digests.
    pub(super) async fn announced(&self, node: &Node, blobs: usize) -> Result<(), FleetError> {
        let blobs = f64::from(u32::try_from(blobs).unwrap_or(u32::MAX));
        let announces = async || {
            let (_, text) = ask(&node.host, self.metrics, "/metrics").await?;
            scrape::metric(&text, ANNOUNCED)
        };
        let wait = async {
            while announces().await.is_none_or(|count| count < blobs) {
                sleep(ASK_AGAIN).await;
            }
        };
        timeout(ANNOUNCE_LIMIT, wait).await.map_err(|_| FleetError::Late {
            what: format!("Spegel on {} did not announce its {blobs} blobs", node.name),
            seconds: ANNOUNCE_LIMIT.as_secs(),
        })
    }
}

// === impl ContainerdFleet ===

impl ContainerdFleet {
    /// Starts Spegel on all nodes and waits until each has found the others.
    pub(super) async fn start_spegel(&self) -> Result<(), FleetError> {
        let Some(program) = &self.config.spegel else { return Ok(()) };
        let Some(first) = self.nodes.first().map(|node| node.host.ip()) else { return Ok(()) };
        for node in &self.nodes {
            let spegel = Spegel::spawn(program, node, first, self.folder.path())?;
            // A fleet starts once.
            let _ = node.spegel.set(spegel);
        }
        let ready = self.nodes.iter().filter_map(|node| Some((node, node.spegel.get()?)));
        try_join_all(ready.map(|(node, spegel)| spegel.ready(node))).await?;
        Ok(())
    }
}
