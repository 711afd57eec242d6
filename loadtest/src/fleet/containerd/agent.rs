//! The agent process of a node.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use onepull_agent::status::NodeStatus;
use onepull_testbed::{Host, Process};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

use super::{FleetError, node::Node, steer};
use crate::{
    scrape,
    transfers::{TARGET, Transfers},
};

/// Ports inside a node's namespace; its own, so they are the agent's defaults.
pub(super) const MIRROR: u16 = 29900;
pub(super) const PEER: u16 = 29901;
/// Named here because a fault cuts it off.
pub(super) const P2P: u16 = 29902;
const ADMIN: u16 = 29903;

/// An agent is ready in less than a second; a fleet of them on two busy cores takes some more.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Announcing a blob is a DHT walk of at most 10 s when a peer is dead; none is here.
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(60);
/// Short beside an announcement, long beside the cost of asking.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// The agent's counters of containerd's requests.
const REQUESTS: [&str; 2] = ["onepull_mirror_hits_total", "onepull_mirror_misses_total"];
/// The agent's gauge of live peers.
const PEERS: &str = "onepull_router_peers";
/// The agent's gauge of what it announces.
const ANNOUNCED: &str = "onepull_router_announced_digests";

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    process: Mutex<Process>,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    /// Where it reads what it is meant to hold, where a file says that.
    pub(super) desired: Option<PathBuf>,
    admin: SocketAddr,
}

/// Who tells an agent what to hold.
#[derive(Clone, Debug)]
pub(crate) enum Orders {
    /// A file, that lists no image yet.
    File,
    /// The cluster that this kubeconfig leads to, with flags for that.
    Cluster { kubeconfig: PathBuf, flags: Vec<OsString> },
}

/// A line of the agent's log about bytes received from a peer.
#[derive(Deserialize)]
struct Line {
    target: String,
    node: String,
    peer: SocketAddr,
    bytes: u64,
}

// === impl Agent ===

impl Agent {
    /// Starts `program` beside the node's containerd; it joins through `bootstrap`, has the cluster key
    /// in `key`, and does what `orders` say.
    pub(crate) fn spawn(
        program: &Path,
        node: &Node,
        bootstrap: Option<Ipv4Addr>,
        folder: &Path,
        orders: &Orders,
        key: Option<&Path>,
    ) -> Result<Self, FleetError> {
        let (mut command, desired) = command(program, node, bootstrap, folder, orders)?;
        match key {
            Some(key) => command.arg("--cluster-key-file").arg(key),
            None => command.arg("--insecure-peers"),
        };
        let log = folder.join(format!("{}.log", node.name));
        let admin = SocketAddr::from((node.host.ip(), ADMIN));
        let process = Mutex::new(spawn(command, &log, &node.name)?);
        Ok(Self { process, log, desired, admin })
    }

    /// Starts it again after its end, without a key; it obeys a cluster.
    pub(crate) async fn respawn(
        &self,
        program: &Path,
        node: &Node,
        bootstrap: Option<Ipv4Addr>,
        folder: &Path,
        orders: &Orders,
    ) -> Result<(), FleetError> {
        let (mut command, _) = command(program, node, bootstrap, folder, orders)?;
        command.arg("--insecure-peers");
        *self.process.lock().await = spawn(command, &self.log, &node.name)?;
        Ok(())
    }

    /// Waits until it serves and knows `peers` others: a fleet that is still forming measures how
    /// it forms.
    pub(crate) async fn ready(
        &self,
        host: &Host,
        name: &str,
        peers: u32,
    ) -> Result<(), FleetError> {
        let admin = self.admin;
        let ask = async || {
            let (status, _) = ask(host, admin, "/readyz").await?;
            let (_, text) = ask(host, admin, "/metrics").await?;
            let joined = scrape::metric(&text, PEERS)? >= f64::from(peers);
            (status == 200 && joined).then_some(())
        };
        let mut process = self.process.lock().await;
        let ready = process.ready("the agent became ready", READY_LIMIT, ask).await;
        ready.map_err(FleetError::setup(format!("start the agent of {name}")))
    }

    /// Its process.
    pub(super) async fn pid(&self) -> u32 {
        self.process.lock().await.pid()
    }

    /// Ends it by SIGKILL.
    pub(crate) async fn kill(&self) {
        self.process.lock().await.kill();
    }

    /// Stops it where it is.
    pub(super) async fn freeze(&self) -> anyhow::Result<()> {
        self.process.lock().await.freeze()
    }

    /// Lets it go on.
    pub(super) async fn thaw(&self) -> anyhow::Result<()> {
        self.process.lock().await.thaw()
    }

    /// Waits until it announces at least `blobs` digests.
    pub(super) async fn announced(&self, node: &Node, blobs: usize) -> Result<(), FleetError> {
        let blobs = u32::try_from(blobs).unwrap_or(u32::MAX);
        let wait = async {
            while self.announces(&node.host).await.is_none_or(|count| count < f64::from(blobs)) {
                sleep(ASK_AGAIN).await;
            }
        };
        timeout(ANNOUNCE_LIMIT, wait).await.map_err(|_| FleetError::Late {
            what: format!("{} did not announce its {blobs} blobs", node.name),
            seconds: ANNOUNCE_LIMIT.as_secs(),
        })
    }

    /// What it says of the images that it was told to hold; `None` when it does not answer.
    pub(super) async fn status(&self, host: &Host) -> Option<NodeStatus> {
        let (_, json) = ask(host, self.admin, "/status").await?;
        serde_json::from_str(&json).ok()
    }

    async fn announces(&self, host: &Host) -> Option<f64> {
        let (_, text) = ask(host, self.admin, "/metrics").await?;
        scrape::metric(&text, ANNOUNCED)
    }

    /// Adds what its log tells of transfers.
    pub(super) fn read_transfers(&self, transfers: &Transfers) -> Result<(), FleetError> {
        let log = fs::read(&self.log).map_err(FleetError::setup("read an agent's log"))?;
        for line in String::from_utf8_lossy(&log).lines() {
            // Most lines are about something else and have other fields.
            if let Ok(Line { target, node, peer, bytes }) = serde_json::from_str(line)
                && target == TARGET
            {
                transfers.add(node, peer.ip(), bytes);
            }
        }
        Ok(())
    }

    /// Requests of containerd that it has answered so far, with a blob or with a 404.
    pub(super) async fn requests(&self, host: &Host) -> Option<f64> {
        self.counted(host, &REQUESTS).await
    }

    /// The sum of some of its counters; one that it does not show counts as zero.
    pub(crate) async fn counted(&self, host: &Host, counters: &[&str]) -> Option<f64> {
        let (_, text) = ask(host, self.admin, "/metrics").await?;
        Some(counters.iter().filter_map(|name| scrape::metric(&text, name)).sum())
    }
}

/// The command, and the file that it obeys, where it is one.
fn command(
    program: &Path,
    node: &Node,
    bootstrap: Option<Ipv4Addr>,
    folder: &Path,
    orders: &Orders,
) -> Result<(Command, Option<PathBuf>), FleetError> {
    let ip = node.host.ip();
    let admin = SocketAddr::from((ip, ADMIN));
    let mut command = node.host.command(program);
    command.arg("serve");
    command.arg("--containerd-socket").arg(&node.socket);
    command.arg("--hosts-dir").arg(&node.hosts_dir);
    command.args(["--registry", &node.registry, "--node-name", &node.name]);
    command.args(["--mirror-listen", &format!("127.0.0.1:{MIRROR}")]);
    command.args(["--peer-listen", &format!("{ip}:{PEER}")]);
    command.args(["--p2p-listen", &format!("{ip}:{P2P}")]);
    command.args(["--admin-listen", &admin.to_string()]);
    command.args(["--advertise-ip", &ip.to_string()]);
    command.arg("--data-dir").arg(folder.join(format!("{}.agent", node.name)));
    let desired = obey(&mut command, orders, folder, &node.name)?;
    command.args(["--log-format", "json"]);
    if let Some(bootstrap) = bootstrap {
        command.args(["--bootstrap", &format!("{bootstrap}:{P2P}")]);
    }
    Ok((command, desired))
}

fn spawn(command: Command, log: &Path, node: &str) -> Result<Process, FleetError> {
    Process::spawn(command, log).map_err(FleetError::setup(format!("start the agent of {node}")))
}

/// Says who is to be obeyed; returns the file, where it is one.
fn obey(
    command: &mut Command,
    orders: &Orders,
    folder: &Path,
    node: &str,
) -> Result<Option<PathBuf>, FleetError> {
    match orders {
        Orders::File => {
            let desired = steer::write_nothing(folder, node)?;
            command.arg("--desired").arg(&desired);
            Ok(Some(desired))
        }
        Orders::Cluster { kubeconfig, flags } => {
            command.args(flags).env("KUBECONFIG", kubeconfig);
            Ok(None)
        }
    }
}

/// Asks a server in `host`; `None` when there is no answer.
pub(super) async fn ask(
    host: &Host,
    admin: SocketAddr,
    path: &'static str,
) -> Option<(u16, String)> {
    host.enter(move || async move { scrape::get(admin, path).await }).await.ok()?.ok()
}
