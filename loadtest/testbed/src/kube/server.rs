//! Starting, killing and restarting one API server with its etcd.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{
    credential::{Credential, write_kubeconfig},
    flags::Places,
    kubectl::Kubectl,
    pki::Authority,
    relay::Relay,
};
use crate::{
    net::{Host, command_in, free_addresses},
    process::Process,
    tools,
};

/// Ready in about 5 s on an idle machine; beside a compiler on the same two cores, 30 s were seen.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// The ports inside a host, those of any cluster.
const PORTS: [u16; 3] = [2379, 2380, 6443];

/// The group that may do everything.
const ADMINISTRATORS: &str = "system:masters";

/// By what names pods call the server.
const NAMES: [&str; 3] = ["localhost", "kubernetes.default.svc", "kubernetes"];

/// The first address of the services' range, which is the server's.
pub(super) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// Choices for one API server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The host to run in, so that other hosts reach it; without one it listens on loopback.
    pub host: Option<&'a Host>,
}

/// A running etcd and kube-apiserver with RBAC. Dropping it kills both and removes what they kept;
/// when a test has failed, the ends of their logs are printed.
#[derive(Debug)]
pub struct ApiServer {
    places: Places,
    launch: Launch,
    authority: Authority,
    etcd: Process,
    apiserver: Process,
    relay: Option<Relay>,
    _folder: TempDir,
}

/// What is needed to start it again.
#[derive(Debug)]
struct Launch {
    namespace: Option<String>,
    programs: PathBuf,
}

// === impl ApiServer ===

impl ApiServer {
    /// Starts one on loopback and waits until it is ready.
    ///
    /// # Errors
    /// As [`ApiServer::start_with`].
    pub async fn start() -> Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Starts one and waits until it is ready, its RBAC roles included.
    ///
    /// # Errors
    /// When it cannot be built or is not ready in time (with its log).
    pub async fn start_with(options: Options<'_>) -> Result<Self> {
        let programs = tokio::task::spawn_blocking(tools::build_kubernetes).await??;
        let folder = tempfile::Builder::new().prefix("onepull-kube-").tempdir()?;
        let authority = Authority::new(&folder.path().join("pki"))?;
        let [etcd, etcd_peer, apiserver] = addresses(options.host)?;
        let relay = options.host.map(|host| Relay::start(host.namespace_path(), apiserver));
        let relay = relay.transpose()?;
        let reached = relay.as_ref().map_or(apiserver, Relay::address).ip();
        let places = Places {
            folder: folder.path().to_owned(),
            etcd,
            etcd_peer,
            apiserver,
            authority: authority.certificate(),
            serving: authority.server(&NAMES, &[apiserver.ip(), reached, IpAddr::V4(SERVICE)])?,
            kubelet_client: authority.client("testbed-apiserver", Some(ADMINISTRATORS))?,
            token_keys: authority.token_keys()?,
        };
        let namespace = options.host.map(|host| host.namespace().to_owned());
        let launch = Launch { namespace, programs };
        let (etcd, apiserver) = (launch.etcd(&places)?, launch.apiserver(&places)?);
        let mut server =
            Self { places, launch, authority, etcd, apiserver, relay, _folder: folder };
        let admin = server.credential("testbed-admin", Some(ADMINISTRATORS))?;
        write_kubeconfig(&server.kubeconfig(), &server.url(), server.authority(), &admin)?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The one that tests of this process share while any of them runs; the first starts it. Each
    /// should work in a namespace of its own.
    ///
    /// # Errors
    /// As [`ApiServer::start_with`].
    pub async fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<ApiServer>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start().await?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// Its address for this process: `https://127.x.y.z:port`.
    pub fn url(&self) -> String {
        let address = self.relay.as_ref().map_or(self.places.apiserver, Relay::address);
        format!("https://{address}")
    }

    /// Its address for the other hosts of its lab; on loopback, that for this process.
    pub fn url_in_lab(&self) -> String {
        format!("https://{}", self.places.apiserver)
    }

    /// The certificate authority that clients are to trust, a PEM file.
    pub fn authority(&self) -> &Path {
        &self.places.authority
    }

    /// The kubeconfig of an administrator, for this process.
    pub fn kubeconfig(&self) -> PathBuf {
        self.places.folder.join("admin.kubeconfig")
    }

    /// A client certificate for a user, for example of `system:node:NAME` in `system:nodes`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn credential(&self, user: &str, group: Option<&str>) -> Result<Credential> {
        Ok(Credential::certificate(self.authority.client(user, group)?))
    }

    /// Writes a kubeconfig for somebody else to `file`; `url` is [`url`](Self::url) or
    /// [`url_in_lab`](Self::url_in_lab).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_kubeconfig(&self, file: &Path, url: &str, credential: &Credential) -> Result<()> {
        write_kubeconfig(file, url, self.authority(), credential)
    }

    /// Its address for the other hosts of its lab.
    pub(super) fn address(&self) -> SocketAddr {
        self.places.apiserver
    }

    /// The key that tokens of service accounts are signed with.
    pub(super) fn token_key(&self) -> &Path {
        &self.places.token_keys.private
    }

    /// Where a program of the control plane logs to.
    pub(super) fn log_of(&self, program: &str) -> PathBuf {
        self.places.log(program)
    }

    /// A program of Kubernetes as the administrator, where the server runs.
    pub(super) fn program(&self, program: &str) -> Result<Command> {
        let kubeconfig = self.places.folder.join("control-plane.kubeconfig");
        let admin = self.credential("testbed-control-plane", Some(ADMINISTRATORS))?;
        write_kubeconfig(&kubeconfig, &self.url_in_lab(), self.authority(), &admin)?;
        let mut command = self.launch.command(program);
        command.arg(format!("--kubeconfig={}", kubeconfig.display()));
        Ok(command)
    }

    /// Runs kubectl as the administrator and returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it wrote to standard error, or takes more than two minutes.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.launch.kubectl(&self.kubeconfig()).run(arguments).await
    }

    /// The process of kube-apiserver, to be frozen and thawed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.apiserver
    }

    /// The process ids of etcd and kube-apiserver.
    pub fn pids(&self) -> [u32; 2] {
        [self.etcd.pid(), self.apiserver.pid()]
    }

    /// Where kube-apiserver logs to.
    pub fn log(&self) -> &Path {
        self.apiserver.log()
    }

    /// Kills kube-apiserver with SIGKILL; etcd goes on. It stays down until
    /// [`ApiServer::restart`].
    pub fn kill(&mut self) {
        self.apiserver.kill();
    }

    /// Asks both to end, and waits for that; they stay down until [`ApiServer::restart`].
    pub async fn stop(&mut self) {
        self.apiserver.stop().await;
        self.etcd.stop().await;
    }

    /// Starts both again with the same data, addresses and keys, after ending what still runs.
    ///
    /// # Errors
    /// When they do not become ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        self.etcd = self.launch.etcd(&self.places)?;
        self.apiserver = self.launch.apiserver(&self.places)?;
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let kubectl = self.launch.kubectl(&self.kubeconfig());
        let etcd = &mut self.etcd;
        let ready = async || {
            if let Some(status) = etcd.ended() {
                return Some(Err(anyhow::anyhow!("etcd ended ({status}):\n{}", etcd.tail())));
            }
            kubectl.run(&["get", "--raw=/readyz"]).await.ok().map(|_| Ok(()))
        };
        self.apiserver.ready("the API server became ready", READY_LIMIT, ready).await?
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.apiserver.kill();
        self.etcd.kill();
        if std::thread::panicking() {
            eprintln!("kube-apiserver's log ends:\n{}", self.apiserver.tail());
            eprintln!("etcd's log ends:\n{}", self.etcd.tail());
        }
    }
}

fn addresses(host: Option<&Host>) -> Result<[SocketAddr; 3]> {
    match host {
        Some(host) => Ok(PORTS.map(|port| SocketAddr::from((host.ip(), port)))),
        None => free_addresses().context("no free port"),
    }
}

// === impl Launch ===

impl Launch {
    fn etcd(&self, places: &Places) -> Result<Process> {
        let mut command = self.command("etcd");
        places.etcd(&mut command);
        Process::spawn(command, places.log("etcd"))
    }

    fn apiserver(&self, places: &Places) -> Result<Process> {
        let mut command = self.command("kube-apiserver");
        places.apiserver(&mut command);
        Process::spawn(command, places.log("kube-apiserver"))
    }

    fn kubectl(&self, kubeconfig: &Path) -> Kubectl {
        Kubectl::new(&self.programs, kubeconfig)
    }

    fn command(&self, program: &str) -> Command {
        command_in(self.namespace.as_deref(), self.programs.join(program))
    }
}
