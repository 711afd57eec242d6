//! A registry and nodes for one test, and an image that is too large to pass in one moment.

use std::{fs, net::Ipv4Addr, path::PathBuf, process::Command, time::Duration};

use onepull_testbed::{
    Containerd, Host, Lab, Layout, Process, Registry, Shape, Version, containerd,
    deadline::eventually,
    layout::{Blob, Spec},
    registry,
};

/// Of three layers; the large one takes seconds on a [`SLOW`] link.
pub(crate) const IMAGE: [u64; 3] = [24 << 20, 2 << 20, 200_000];

/// A link on which a test can interfere in mid-pull.
pub(crate) const SLOW: Shape = Shape { up: Some(50_000_000), down: Some(50_000_000) };

/// A loaded machine is slow, but not this slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Starts a program as a container that has nothing it does not need. The host's commands have mounts of their
/// own.
const CONFINE: &str = r#"mkdir -p "$1" "$2" && mount --bind "$1" "$1" && mount --bind "$2" "$2" &&
    mount -o remount,bind,ro / && shift 2 &&
    exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@""#;

const MIRROR: u16 = 29900;
const P2P: u16 = 29902;
const ADMIN: u16 = 29903;

pub(crate) struct Cluster {
    pub(crate) lab: Lab,
    pub(crate) registry: Registry,
    pub(crate) origin: Host,
    pub(crate) image: Layout,
    /// Where the image lies.
    _folder: tempfile::TempDir,
}

pub(crate) struct Node {
    pub(crate) containerd: Containerd,
    pub(crate) agent: Option<Process>,
    pub(crate) host: Host,
    /// The cluster key of agents that start later.
    pub(crate) key: Option<&'static str>,
    /// Its agent starts without any capability, and sees all as read-only but its two folders.
    pub(crate) confined: bool,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// A registry that holds the image `team/app:v1`.
    pub(crate) async fn start() -> Self {
        Self::with(None, &IMAGE).await
    }

    /// The same on `port`, if one is given, with an image of `layers`.
    pub(crate) async fn with(port: Option<u16>, layers: &[u64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec { layers: layers.to_vec(), ..Spec::even(1 << 20, 1, 7) };
        let image = Layout::generate(&folder.path().join("image"), &spec).unwrap();
        let lab = Lab::new().unwrap();
        let origin = lab.node("registry", Shape::OPEN).unwrap();
        let options = registry::Options { host: Some(&origin), port, ..Default::default() };
        let registry = Registry::start(options).await.unwrap();
        registry.push(&image, "team/app", "v1").await.unwrap();
        Self { lab, registry, origin, image, _folder: folder }
    }

    /// A node on which no agent ever ran.
    pub(crate) async fn bare_node(&self, name: &str, version: Version, shape: Shape) -> Node {
        self.node_that_drops(false, name, version, shape).await
    }

    /// The same whose containerd drops layers once they are unpacked, or does not.
    pub(crate) async fn node_that_drops(
        &self,
        discard_unpacked_layers: bool,
        name: &str,
        version: Version,
        shape: Shape,
    ) -> Node {
        let host = self.lab.node(name, shape).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = containerd::Options {
            host: Some(&host),
            hosts_dir: Some(folder.path().join("certs.d")),
            discard_unpacked_layers,
            ..Default::default()
        };
        let containerd = Containerd::start(version, options).await.unwrap();
        Node { containerd, agent: None, host, key: None, confined: false, folder }
    }

    pub(crate) fn by_tag(&self) -> String {
        format!("{}/team/app:v1", self.registry.name())
    }

    pub(crate) fn by_digest(&self) -> String {
        format!("{}/team/app@{}", self.registry.name(), self.image.manifest_digest())
    }

    /// Bytes that the registry has put on the wire.
    pub(crate) fn egress(&self) -> u64 {
        self.lab.traffic([&self.origin]).unwrap()[0].tx
    }

    /// The image's largest layer.
    pub(crate) fn large_layer(&self) -> Blob {
        self.image.blobs().into_iter().max_by_key(|blob| blob.size).unwrap()
    }

    /// Every blob of the image is on the node, byte for byte.
    pub(crate) async fn assert_complete(&self, node: &Node) {
        let audit = node.containerd.verify_image(self.image.manifest_digest()).await.unwrap();
        assert_eq!((audit.blobs, audit.bytes), (self.image.blobs().len(), self.image.bytes()));
    }
}

impl Node {
    /// Starts its agent with what `also` adds to the command line, and does not wait until it is ready.
    pub(crate) fn spawn_agent_with(
        &mut self,
        registry: &str,
        bootstrap: &[Ipv4Addr],
        also: impl FnOnce(&mut Command),
    ) {
        let ip = self.host.ip();
        let mut command = self.agent_command("serve");
        command.args(["--log-format", "json"]);
        match self.key {
            Some(key) => {
                let file = self.folder.path().join("cluster-key");
                fs::write(&file, key).unwrap();
                command.arg("--cluster-key-file").arg(file);
            }
            None => _ = command.arg("--insecure-peers"),
        }
        command.args(["--registry", registry, "--node-name", self.host.name()]);
        command.args(["--advertise-ip", &ip.to_string()]);
        if self.desired_file().exists() {
            command.arg("--desired").arg(self.desired_file());
        }
        for peer in bootstrap {
            command.args(["--bootstrap", &format!("{peer}:{P2P}")]);
        }
        command.env("ONEPULL_LOG", "info,onepull_mirror=debug");
        also(&mut command);
        self.run_agent(command);
    }

    /// Runs what [`Node::agent_command`] made; its output goes where that of other agents went.
    pub(crate) fn run_agent(&mut self, command: Command) {
        let log = self.folder.path().join("agent.log");
        self.agent = Some(Process::spawn(command, log).unwrap());
    }

    pub(crate) async fn agent_is_ready(&mut self) {
        let mut agent = self.agent.take().unwrap();
        let ready = agent.ready("the agent is ready", LIMIT, async || {
            self.admin("/readyz").await.filter(|answer| answer.starts_with("HTTP/1.1 200"))
        });
        ready.await.unwrap();
        self.agent = Some(agent);
    }

    /// A command of the agent that knows where things are on this node.
    pub(crate) fn agent_command(&self, subcommand: &str) -> Command {
        const AGENT: &str = env!("CARGO_BIN_EXE_onepull-agent");
        let mut command = self.host.command(if self.confined { "sh" } else { AGENT });
        if self.confined {
            command.args(["-c", CONFINE, "sh"]).arg(self.hosts_dir()).arg(self.data_dir());
            command.arg(AGENT);
        }
        command.arg(subcommand).arg("--containerd-socket").arg(self.containerd.socket());
        command.arg("--hosts-dir").arg(self.hosts_dir()).arg("--data-dir").arg(self.data_dir());
        command
    }

    pub(crate) fn hosts_dir(&self) -> PathBuf {
        self.folder.path().join("certs.d")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where an agent that starts later finds what it is to hold.
    pub(crate) fn desired_file(&self) -> PathBuf {
        self.folder.path().join("desired.yaml")
    }

    pub(crate) fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill();
    }

    pub(crate) async fn pull(&self, image: &str) -> anyhow::Result<String> {
        self.containerd.cri().await?.pull(image).await
    }

    /// The value of a metric, all its labels added up.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.admin("/metrics").await.unwrap();
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Waits until others can find all of the image here.
    pub(crate) async fn announced(&self, image: &Layout) {
        self.announces(image.blobs().len() as u64).await;
    }

    /// Waits until others can find so many blobs here.
    pub(crate) async fn announces(&self, blobs: u64) {
        let announced = eventually("the announcement", LIMIT, async || {
            (self.metric("onepull_router_announced_digests").await >= blobs).then_some(())
        });
        announced.await.unwrap();
    }

    /// What the mirror answers to a GET, head and all.
    pub(crate) async fn mirror(&self, path: &str) -> Option<String> {
        self.ask((Ipv4Addr::LOCALHOST, MIRROR), path).await
    }

    pub(crate) async fn admin(&self, path: &str) -> Option<String> {
        self.ask((self.host.ip(), ADMIN), path).await
    }

    async fn ask(&self, at: (Ipv4Addr, u16), path: &str) -> Option<String> {
        let path = path.to_owned();
        let ask = move || async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tokio::net::TcpStream::connect(at).await.ok()?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            Some(answer)
        };
        self.host.enter(ask).await.unwrap()
    }
}
