//! A node: containerd 2.2 and a kubelet on a machine of their own, with a network for pods.

use std::{fs, net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;

use super::server::{ApiServer, SERVICE};
use crate::{
    containerd::{self, Containerd, Version},
    layout::{Compression, Layout, Spec},
    machine::Machine,
    net::{Host, Lab, Shape},
    process::Process,
    tools,
};

/// Ready after 5 s on an idle machine, when its network and the API server have told it so.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// The image of the container that holds a pod's namespaces. It is imported, not pulled.
const SANDBOX: &str = "pause.testbed/pause:1";

/// It has no file but its program.
const NOTHING: Spec = Spec { layers: Vec::new(), seed: 0, compression: Compression::None };

/// Where containerd looks for `hosts.toml`.
pub const HOSTS_DIR: &str = "/etc/containerd/certs.d";

/// Choices for one node.
#[derive(Clone, Copy, Debug)]
pub struct NodeOptions<'a> {
    /// Its name in the cluster.
    pub name: &'a str,
    /// Its link.
    pub shape: Shape,
    /// Who answers questions for names, if anybody does.
    pub names: Option<Ipv4Addr>,
    /// `certs.d` as the administrator of the node has written it: registries and the text of their `hosts.toml`.
    pub hosts: &'a [(&'a str, &'a str)],
    /// What is on its disk from the start, and by what names.
    pub images: &'a [(&'a Layout, &'a str)],
}

/// A node of a cluster. Dropping it ends its pods too.
#[derive(Debug)]
pub struct Node {
    kubelet: Process,
    containerd: Containerd,
    machine: Machine,
    host: Host,
    _folder: TempDir,
}

// === impl Node ===

impl Node {
    /// Starts a machine in `lab` and has it join the cluster; waits until its node is Ready.
    ///
    /// # Errors
    /// When a part of it does not start, with the end of its log.
    pub async fn join(lab: &Lab, server: &ApiServer, options: NodeOptions<'_>) -> Result<Self> {
        let host = lab.node(options.name, options.shape)?;
        let folder = tempfile::Builder::new().prefix("onepull-node-").tempdir()?;
        connect(lab, server, &host)?;
        let machine = Machine::start(&host, folder.path()).await?;
        configure(&machine, &host, server, options)?;
        let containerd = containerd::Options {
            machine: Some(&machine),
            folder: Some(folder.path().join("log")),
            hosts_dir: Some(HOSTS_DIR.into()),
            extra_toml: more(),
            ..Default::default()
        };
        let containerd = Containerd::start(Version::V2_2, containerd).await?;
        let pause = folder.path().join("pause");
        let pause =
            tokio::task::spawn_blocking(move || Layout::waiting(&pause, &NOTHING)).await??;
        for (image, name) in [(&pause, SANDBOX)].iter().chain(options.images) {
            import(&machine, image, name)?;
        }
        let kubelet = start_kubelet(&machine, &host, folder.path())?;
        let mut node = Self { kubelet, containerd, machine, host, _folder: folder };
        node.wait_until_ready(server).await?;
        Ok(node)
    }

    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Its link and network.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its files and processes.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Its runtime.
    pub fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    async fn wait_until_ready(&mut self, server: &ApiServer) -> Result<()> {
        let name = self.host.name().to_owned();
        let condition = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
        let ready = async || {
            let asked = server.kubectl(&["get", "node", &name, "--output", condition]).await;
            (asked.ok()? == "True").then_some(())
        };
        self.kubelet.ready("the node became Ready", READY_LIMIT, ready).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the kubelet of {} ends:\n{}", self.name(), self.kubelet.tail());
        }
        // First, or they would make anew what ends with their machine.
        self.kubelet.kill();
        self.machine.init().kill();
    }
}

/// The network of the node's pods.
fn pods(host: &Host) -> String {
    let [.., node] = host.ip().octets();
    format!("10.98.{node}.0/24")
}

/// What kube-proxy and a network plugin would do: pods of other nodes and the service of the API server are reached.
fn connect(lab: &Lab, server: &ApiServer, host: &Host) -> Result<()> {
    lab.route(&pods(host), host)?;
    host.forward()?;
    host.translate((SERVICE, 443), server.address())
}

fn configure(
    machine: &Machine,
    host: &Host,
    server: &ApiServer,
    options: NodeOptions<'_>,
) -> Result<()> {
    let write = |path: &str, text: String| {
        let file = machine.see(path);
        fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
        // A link of the machine below would lead elsewhere.
        let _ = fs::remove_file(&file);
        fs::write(file, text).with_context(|| format!("cannot write {path} of {}", host.name()))
    };
    let names = options.names.map(|server| format!("nameserver {server}\n")).unwrap_or_default();
    write("/etc/resolv.conf", names)?;
    for (registry, text) in options.hosts {
        write(&format!("{HOSTS_DIR}/{registry}/hosts.toml"), (*text).to_owned())?;
    }
    write("/etc/cni/net.d/10-testbed.conflist", cni(host).to_string())?;
    write("/var/lib/kubelet/config.yaml", kubelet(server).to_string())?;
    let user = format!("system:node:{}", host.name());
    let credential = server.credential(&user, Some("system:nodes"))?;
    let kubeconfig = machine.see("/var/lib/kubelet/kubeconfig");
    server.write_kubeconfig(&kubeconfig, &server.url_in_lab(), &credential)
}

/// What containerd has to know more: where CNI's plugins are, and the sandbox's image.
fn more() -> String {
    format!(
        "[plugins.'io.containerd.cri.v1.runtime'.cni]\n  bin_dirs = ['/usr/lib/cni']\n\
         [plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = '{SANDBOX}'\n"
    )
}

/// A bridge of the node's own.
fn cni(host: &Host) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "testbed",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": pods(host)}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

/// JSON is YAML too. Several kubelets share the machine's control groups, so none of them makes a tree of its own.
fn kubelet(server: &ApiServer) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": server.authority()},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "1%", "imagefs.available": "1%", "nodefs.available": "1%"},
        "failCgroupV1": false,
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "2s",
        "resolvConf": "/etc/resolv.conf",
        "shutdownGracePeriod": "0s",
    })
}

fn start_kubelet(machine: &Machine, host: &Host, folder: &Path) -> Result<Process> {
    let mut command = machine.command(tools::kubernetes_folder().join("kubelet"));
    command.args([
        "--config=/var/lib/kubelet/config.yaml",
        "--kubeconfig=/var/lib/kubelet/kubeconfig",
    ]);
    command.arg(format!("--hostname-override={}", host.name()));
    command.arg(format!("--node-ip={}", host.ip()));
    Process::spawn(command, folder.join("kubelet.log"))
}

fn import(machine: &Machine, image: &Layout, name: &str) -> Result<()> {
    let ctr = tools::containerd_2_folder().join("ctr");
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("image.tar");
    image.archive(&archive, name)?;
    let archive = archive.to_string_lossy();
    let ctr = ctr.to_string_lossy();
    machine.run(&ctr, &["--namespace", "k8s.io", "images", "import", "--local", &archive])?;
    Ok(())
}
