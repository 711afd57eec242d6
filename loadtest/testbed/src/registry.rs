//! A real registry: Debian's docker-registry (distribution 2.8), filled by skopeo.

mod access;
mod auth;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    layout::Layout,
    net::{Host, command_in, free_addresses},
    process::{Process, run},
    tools,
};

pub use access::Access;
pub use auth::{Auth, PASSWORD, USER};

/// It listens within 100 ms on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// The port inside a host if none is chosen, where nobody else wants it.
const PORT: u16 = 5000;

/// The port that an image name need not give (by plain HTTP).
const HTTP: u16 = 80;

/// Choices for one registry.
#[derive(Clone, Debug, Default)]
pub struct Options<'a> {
    /// The host to run in; without one it listens on loopback, on a free port.
    pub host: Option<&'a Host>,
    /// The port inside the host, else 5000. A client that puts the registry into a mirror's path
    /// (podman) needs 80: a port cannot be written there, a repository's name has no colon.
    pub port: Option<u16>,
    /// Where to keep the blobs, so that the next run finds them; without it they go at the end.
    pub storage: Option<PathBuf>,
    /// Who may push and pull.
    pub auth: Auth,
}

/// A running registry, plain HTTP.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    namespace: Option<String>,
    auth: Auth,
    process: Process,
    folder: TempDir,
}

// === impl Registry ===

impl Registry {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When it is not installed or is not ready in time (with its log).
    pub async fn start(options: Options<'_>) -> Result<Self> {
        let program = tools::find("docker-registry").context("docker-registry is not installed")?;
        let folder = tempfile::Builder::new().prefix("onepull-registry-").tempdir()?;
        let address = match options.host {
            Some(host) => SocketAddr::from((host.ip(), options.port.unwrap_or(PORT))),
            None => free_addresses::<1>()?[0],
        };
        let storage = options.storage.unwrap_or_else(|| folder.path().join("storage"));
        fs::create_dir_all(&storage)?;
        let config = folder.path().join("config.yml");
        let auth = options.auth.render(folder.path())?;
        fs::write(&config, render(address, &storage) + &auth)?;
        let namespace = options.host.map(|host| host.namespace().to_owned());
        let mut command = command_in(namespace.as_deref(), program);
        command.arg("serve").arg(&config);
        let process = Process::spawn(command, folder.path().join("registry.log"))?;
        let mut registry = Self { address, namespace, auth: options.auth, process, folder };
        registry.wait_until_ready(options.host).await?;
        Ok(registry)
    }

    /// Where it listens: `10.99.x.y:5000` or `127.x.y.z:port`.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The first part of the names of its images, `HOST[:PORT]`.
    pub fn name(&self) -> String {
        match self.address.port() {
            HTTP => self.address.ip().to_string(),
            _ => self.address.to_string(),
        }
    }

    /// What `hosts.toml` calls it.
    pub fn url(&self) -> String {
        format!("http://{}", self.name())
    }

    /// Writes the `hosts.toml` by which containerd uses plain HTTP, as an administrator would,
    /// below `hosts_dir`; 1.6 needs the `[host]` table for that, 2.2 would do without.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn allow_plain_http(&self, hosts_dir: &Path) -> Result<()> {
        let folder = hosts_dir.join(self.name());
        fs::create_dir_all(&folder)?;
        let text = format!("server = {url:?}\n[host.{url:?}]\n", url = self.url());
        fs::write(folder.join("hosts.toml"), text).context("cannot write hosts.toml")
    }

    /// What it has been asked so far, pushes included, in the order of its answers' ends.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn requests(&self) -> Result<Vec<Access>> {
        Ok(access::parse(&fs::read_to_string(self.log()).context("cannot read the access log")?))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its log; see [`Registry::requests`] for what it says about requests.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// Kills it; what it stored stays until it is dropped.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Pushes an image with its own digests. Blobs that are there are not sent again.
    ///
    /// It is sent over the registry's own loopback, so the push is neither shaped nor counted as
    /// traffic of its host.
    ///
    /// # Errors
    /// When skopeo fails, with what it said.
    pub async fn push(&self, layout: &Layout, repository: &str, tag: &str) -> Result<()> {
        let view = tempfile::tempdir_in(self.folder.path())?;
        let source = layout.single_image_view(view.path())?;
        let mut skopeo = command_in(self.namespace.as_deref(), "skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet", "--preserve-digests"]);
        skopeo.arg("--dest-tls-verify=false");
        match self.auth {
            Auth::Open => skopeo.arg("--dest-no-creds"),
            _ => skopeo.arg("--dest-creds").arg(format!("{USER}:{PASSWORD}")),
        };
        skopeo.arg(source).arg(format!("docker://{}/{repository}:{tag}", self.address));
        tokio::task::spawn_blocking(move || run(&mut skopeo)).await??;
        Ok(())
    }

    async fn wait_until_ready(&mut self, host: Option<&Host>) -> Result<()> {
        let address = self.address;
        let connect = move || std::net::TcpStream::connect(address).ok();
        let ask = async || match host {
            Some(host) => host.call(connect).ok().flatten(),
            None => connect(),
        };
        self.process.ready("the registry listened", READY_LIMIT, ask).await?;
        Ok(())
    }
}

fn render(address: SocketAddr, storage: &Path) -> String {
    format!(
        "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: false\n\
         storage:\n  filesystem:\n    rootdirectory: {storage:?}\n  delete:\n    enabled: true\n\
         http:\n  addr: {address}\n",
    )
}
