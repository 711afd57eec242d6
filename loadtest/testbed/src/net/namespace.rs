//! One named network namespace, removed with what still runs in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use crate::{process::run, tools::Lock};

/// Where `ip netns` keeps the names.
const FOLDER: &str = "/run/netns";

/// All our names start so; the process id of the maker follows.
const PREFIX: &str = "onepull-";

/// A namespace made by this process. Dropping it kills what runs in it, then removes it.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

// === impl Namespace ===

impl Namespace {
    /// Makes a namespace whose name contains `label` and is unique on this machine.
    pub(super) fn create(label: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}-{label}", std::process::id());
        {
            // The very first use on a machine mounts the folder, and two at once disturb each other.
            let _lock = Lock::take("netns")?;
            run(Command::new("ip").args(["netns", "add", &name]))?;
        }
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Runs `ip` on this namespace.
    pub(super) fn ip(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }

    /// A command that will run inside.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        super::command_in(Some(&self.name), program)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left to tell; what stays behind is removed by the next process.
        let _ = remove(&self.name);
    }
}

/// Removes the namespaces of processes that were killed before they could do it themselves.
pub(super) fn remove_stale() {
    let Ok(entries) = fs::read_dir(FOLDER) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if maker(&name).is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = remove(&name);
        }
    }
}

fn maker(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)?.split('-').next()
}

fn remove(name: &str) -> Result<()> {
    let inside = run(Command::new("ip").args(["netns", "pids", name]))?;
    for pid in inside.lines().filter_map(|line| line.trim().parse().ok()) {
        if let Some(pid) = Pid::from_raw(pid)
            && pid != rustix::process::getpid()
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    run(Command::new("ip").args(["netns", "del", name]))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_who_made_it() {
        assert_eq!(maker("onepull-4711-0-hub"), Some("4711"));
        assert_eq!(maker("another"), None);
    }
}
