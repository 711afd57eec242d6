//! A node to look at: folders, free ports, and a containerd if the machine has one.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use onepull_agent::{
    check::{self, CheckConfig, Finding, Verdict},
    containerd::dial,
    hosts::{HostsConfig, install},
};
use onepull_testbed::{
    Containerd, Process, Requirement, Version, containerd::Options, net::free_addresses, skip,
};
use tempfile::TempDir;

/// containerd starts in less than a second, on a busy machine in some.
const START_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Node {
    pub(crate) root: TempDir,
    pub(crate) config: CheckConfig,
    containerd: Option<Containerd>,
    without_cri: Option<Process>,
}

impl Node {
    /// Without a containerd.
    pub(crate) fn bare() -> Self {
        let root = tempfile::tempdir().unwrap();
        let [mirror, peer_listen, p2p_listen, admin_listen] = free_addresses().unwrap();
        let config = CheckConfig {
            cluster_key_file: None,
            node_name: "node".to_owned(),
            containerd_socket: root.path().join("none.sock"),
            hosts: HostsConfig {
                hosts_dir: root.path().join("certs.d"),
                data_dir: root.path().join("data"),
                registries: Vec::new(),
                mirror,
            },
            peer_listen,
            p2p_listen,
            admin_listen,
            bootstrap: Vec::new(),
            bootstrap_service: None,
        };
        fs::create_dir(&config.hosts.hosts_dir).unwrap();
        Self { root, config, containerd: None, without_cri: None }
    }

    /// With everything in order.
    pub(crate) async fn healthy(version: Version) -> Self {
        Self::with(version, |_, _| {}).await
    }

    /// With a containerd whose options were changed.
    pub(crate) async fn with(
        version: Version,
        change: impl FnOnce(&Self, &mut Options<'static>),
    ) -> Self {
        let mut node = Self::bare();
        let mut options =
            Options { hosts_dir: Some(node.config.hosts.hosts_dir.clone()), ..Options::default() };
        change(&node, &mut options);
        let containerd = Containerd::start(version, options).await.unwrap();
        node.config.containerd_socket = containerd.socket();
        node.containerd = Some(containerd);
        node.install();
        node
    }

    /// Starts containerd again with its CRI plugin disabled, as Docker's packages configure it. The
    /// testbed would wait for CRI, so this goes past it.
    pub(crate) async fn switch_cri_off(&mut self) {
        let containerd = self.containerd.as_mut().unwrap();
        let program = fs::read_link(format!("/proc/{}/exe", containerd.pid())).unwrap();
        containerd.stop().await;
        let config = containerd.socket().with_file_name("config.toml");
        let text = fs::read_to_string(&config).unwrap();
        let off = "disabled_plugins = [\"io.containerd.grpc.v1.cri\", ";
        fs::write(&config, text.replace("disabled_plugins = [", off)).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(config);
        let mut process = Process::spawn(command, self.root.path().join("log")).unwrap();
        let socket = self.config.containerd_socket.clone();
        let ready = async || dial(&socket).await.ok();
        process.ready("containerd without CRI", START_LIMIT, ready).await.unwrap();
        self.without_cri = Some(process);
    }

    /// Writes the hosts files, as the agent does when it starts.
    pub(crate) fn install(&self) {
        assert_eq!(install(&self.config.hosts).unwrap().refused().count(), 0);
    }

    pub(crate) fn hosts_file(&self, registry: &str) -> PathBuf {
        self.config.hosts.hosts_dir.join(registry).join("hosts.toml")
    }

    pub(crate) async fn check(&self) -> Vec<Finding> {
        check::run(&self.config).await
    }

    /// Everything that is not as it should be: verdict, check, and what was seen.
    pub(crate) async fn complaints(&self) -> Vec<(Verdict, &'static str, String)> {
        let findings = self.check().await;
        findings
            .into_iter()
            .filter(|finding| finding.verdict != Verdict::Ok)
            .inspect(|finding| println!("{finding:?}"))
            .map(|finding| (finding.verdict, finding.name, finding.what))
            .collect()
    }
}

/// The releases that this machine can run.
pub(crate) fn releases(test: &str) -> Vec<Version> {
    let all =
        [(Version::V1_6, Requirement::Containerd16), (Version::V2_2, Requirement::Containerd22)];
    let there = all.into_iter().filter(|(_, needs)| !skip(test, &[Requirement::Root, *needs]));
    there.map(|(version, _)| version).collect()
}
