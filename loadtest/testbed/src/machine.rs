//! A host with a file system, processes and a name of its own, as far as a node needs them: pods run in it.
//!
//! It sees the machine's files. What it writes below `/etc` and `/var` goes to a folder of its own, `/run` is empty,
//! and its mounts are shared within it, as systemd has them on a node. Its processes end with it.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    net::Host,
    process::{Process, run},
};

/// It takes some milliseconds; beside a compiler on the same two cores, more.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Its last word before it only waits.
const READY: &str = "the machine is ready";

/// Process 1. `/var/lib/containerd` is a disk of its own, since an overlay cannot be put on an overlay.
const INIT: &str = include_str!("machine/init.sh");

/// A machine of its own in a host. Dropping it ends all that runs in it.
#[derive(Debug)]
pub struct Machine {
    init: Process,
    /// Of its process 1, as everybody else calls it.
    pid: u32,
    folder: PathBuf,
}

/// How to get into it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door(u32);

// === impl Machine ===

impl Machine {
    /// Starts one in `host` that keeps what it writes in `folder`, which must not be below `/etc`, `/run` or `/var`.
    ///
    /// # Errors
    /// Without root, or where overlays cannot be mounted.
    pub async fn start(host: &Host, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", host.namespace_path().display()));
        command.args(["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"]);
        command.args(["--mount-proc", "bash", "-c", INIT, "init"]);
        command.arg(folder).args([host.name(), READY]);
        let log = folder.join("init.log");
        let mut init = Process::spawn(command, &log)?;
        let ready = async || fs::read_to_string(&log).ok()?.contains(READY).then_some(());
        init.ready("the machine started", READY_LIMIT, ready).await?;
        let pid = only_child(init.pid()).context("the machine has no process 1")?;
        Ok(Self { init, pid, folder: folder.to_owned() })
    }

    /// A command that will run in it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.door().command(program)
    }

    /// Runs a program in it to its end and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started or fails, with what it wrote to standard error.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        run(self.command(program).args(arguments))
    }

    /// Where this process finds the machine's file at the absolute path `path`.
    pub fn see(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        Path::new("/proc").join(format!("{}/root", self.pid)).join(below_root(path))
    }

    /// All files and folders below `/etc` and `/var` that it has written and not removed again, without those in
    /// `/var/lib/containerd` and `/var/lib/kubelet`.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn written(&self) -> Result<Vec<PathBuf>> {
        let found = run(Command::new("find").current_dir(&self.folder).args(["etc", "var"]))?;
        Ok(found.lines().map(|line| Path::new("/").join(line)).collect())
    }

    /// The process that everything in it ends with.
    pub fn init(&mut self) -> &mut Process {
        &mut self.init
    }

    pub(crate) fn door(&self) -> Door {
        Door(self.pid)
    }
}

// === impl Door ===

impl Door {
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.0.to_string(), "--mount", "--uts", "--net", "--pid", "--"]);
        command.arg(program);
        command
    }
}

/// The rest of an absolute path.
fn below_root(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// `unshare` has one child, the first process of the new namespace.
fn only_child(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
