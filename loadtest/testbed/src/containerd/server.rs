//! Starting, killing and restarting one containerd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tonic::transport::Channel;

use super::{
    config::{OVERLAY, Options, Places, render},
    content::Content,
    cri::Cri,
};
use crate::{
    machine::Door,
    net::command_in,
    process::{Process, run},
    tools,
};

/// containerd is ready in less than 1 s; eight of them on two cores, started at once, in 8 s.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A release of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Debian 12's package.
    V1_6,
    /// Built from its Go module; see [`tools::CONTAINERD_2`].
    V2_2,
}

/// A running containerd. Dropping it kills it and removes what it kept.
#[derive(Debug)]
pub struct Containerd {
    version: Version,
    places: Places,
    launch: Launch,
    process: Process,
    base: PathBuf,
    _folder: Option<TempDir>,
}

/// What is needed to start it again.
#[derive(Debug)]
struct Launch {
    place: Place,
    log: PathBuf,
    program: PathBuf,
    path: String,
}

/// Where it runs.
#[derive(Debug)]
enum Place {
    /// In a machine of its own.
    Machine(Door),
    /// In this one, with the network of a namespace or its own.
    Here(Option<String>),
}

// === impl Containerd ===

impl Containerd {
    /// Starts one and waits until CRI answers.
    ///
    /// # Errors
    /// When it is not installed, cannot be built, or is not ready in time (with its log).
    pub async fn start(version: Version, options: Options<'_>) -> Result<Self> {
        let folder = match options.folder {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("onepull-").tempdir()?),
        };
        let base = options.folder.clone().or_else(|| Some(folder.as_ref()?.path().to_owned()));
        let base = base.context("there is no folder to keep containerd's files in")?;
        fs::create_dir_all(&base)?;
        let places = match options.machine {
            Some(machine) => Places::of(machine, snapshotter()),
            None => Places::below(&base, snapshotter()),
        };
        let config = places.seen(&places.config);
        fs::create_dir_all(config.parent().unwrap_or(&base))?;
        fs::write(config, render(version, &options, &places))?;
        let launch = Launch::new(version, &options, base.join("containerd.log")).await?;
        let process = launch.spawn(&places)?;
        let mut containerd = Self { version, places, launch, process, base, _folder: folder };
        containerd.wait_until_ready().await?;
        Ok(containerd)
    }

    /// The release that runs.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its gRPC socket, which serves CRI too.
    pub fn socket(&self) -> PathBuf {
        self.places.socket()
    }

    /// Its persistent folder; content is below `io.containerd.content.v1.content`.
    pub fn root(&self) -> PathBuf {
        self.places.root()
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its process, to be frozen and thawed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where its blobs and ingests are: `blobs/sha256/<hex>` and `ingest/<id>/data`.
    pub fn content_store(&self) -> PathBuf {
        self.root().join("io.containerd.content.v1.content")
    }

    /// Kills it with SIGKILL; it stays down until [`Containerd::restart`].
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, and waits for that; it stays down until [`Containerd::restart`].
    pub async fn stop(&mut self) {
        self.process.stop().await;
    }

    /// Starts it again on the same folders, after ending it if it still runs.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.stop().await;
        self.process = self.launch.spawn(&self.places)?;
        self.wait_until_ready().await
    }

    /// A new connection to it.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn channel(&self) -> Result<Channel> {
        connect(&self.socket()).await
    }

    /// Its CRI, as the kubelet uses it.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn cri(&self) -> Result<Cri> {
        Ok(Cri::new(self.channel().await?))
    }

    /// Its blobs and images in the namespace of CRI.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn content(&self) -> Result<Content> {
        Ok(Content::new(self.channel().await?))
    }

    /// Where a complete blob lies.
    pub fn blob(&self, digest: &oci_spec::image::Digest) -> PathBuf {
        let store = self.content_store().join("blobs");
        store.join(digest.algorithm().as_ref()).join(digest.digest())
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let socket = self.places.socket();
        let ready = async || {
            let channel = connect(&socket).await.ok()?;
            Cri::new(channel).runtime_version().await.ok()
        };
        self.process.ready("containerd became ready", READY_LIMIT, ready).await?;
        Ok(())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.process.kill();
        unmount_below(&self.base);
    }
}

/// A killed containerd may leave the mounts of a layer that it was unpacking, and a folder with a
/// mount in it cannot be removed.
fn unmount_below(base: &Path) {
    let Ok(mounts) = fs::read_to_string("/proc/self/mounts") else { return };
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let below = targets.filter(|target| Path::new(target).starts_with(base));
    for target in below.collect::<Vec<_>>().into_iter().rev() {
        let _ = run(Command::new("umount").args(["--lazy", target]));
    }
}

async fn connect(socket: &Path) -> Result<Channel> {
    containerd_client::connect(socket)
        .await
        .with_context(|| format!("cannot connect to {}", socket.display()))
}

/// Overlay where the file system below temporary folders can carry it, else plain copies.
fn snapshotter() -> &'static str {
    static CHOICE: OnceLock<&str> = OnceLock::new();
    CHOICE.get_or_init(|| if overlay_works().is_ok() { OVERLAY } else { "native" })
}

fn overlay_works() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = "lowerdir=l,upperdir=u,workdir=w";
    let script = format!("mkdir l u w m && mount -t overlay overlay -o {options} m");
    let mut trial = Command::new("unshare");
    trial.args(["--mount", "sh", "-c", &script]).current_dir(folder.path());
    run(&mut trial)?;
    Ok(())
}

// === impl Launch ===

impl Launch {
    async fn new(version: Version, options: &Options<'_>, log: PathBuf) -> Result<Self> {
        let folder = match version {
            Version::V1_6 => None,
            Version::V2_2 => Some(tokio::task::spawn_blocking(tools::build_containerd_2).await??),
        };
        let program = match &folder {
            Some(folder) => folder.join("containerd"),
            None => tools::find("containerd").context("containerd is not installed")?,
        };
        // The shim is looked up here, and must be of the same release.
        let own = folder.map(|folder| format!("{}:", folder.display())).unwrap_or_default();
        let path = format!("{own}/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin");
        let place = match options.machine {
            Some(machine) => Place::Machine(machine.door()),
            None => Place::Here(options.host.map(|host| host.namespace().to_owned())),
        };
        Ok(Self { place, log, program, path })
    }

    fn spawn(&self, places: &Places) -> Result<Process> {
        let mut command = match &self.place {
            Place::Machine(door) => door.command(&self.program),
            Place::Here(namespace) => command_in(namespace.as_deref(), &self.program),
        };
        command.arg("--config").arg(&places.config).env("PATH", &self.path);
        Process::spawn(command, &self.log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Requirement, skip};

    #[test]
    fn mounts_in_mounts_below_the_folder_are_undone_and_others_stay() {
        let name = "mounts_in_mounts_below_the_folder_are_undone_and_others_stay";
        if skip(name, &[Requirement::Root]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mount = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            run(Command::new("mount").args(["-t", "tmpfs", "testbed"]).arg(&path)).unwrap();
        };
        mount("own");
        mount("own/inner");
        mount("own-not");
        let mounted = || {
            let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
            let prefix = format!("{}/", folder.path().display());
            let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
            targets.filter_map(|t| t.strip_prefix(&prefix)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(mounted(), ["own", "own/inner", "own-not"]);
        unmount_below(&folder.path().join("own"));
        assert_eq!(mounted(), ["own-not"]);
        unmount_below(folder.path());
        assert_eq!(mounted(), [""; 0]);
    }
}
