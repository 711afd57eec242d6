//! The process behind containerd's socket, and its own view of the file system.
//!
//! The kernel tells who listens on the socket. From a container this works only with the host's
//! process ids; where it does not, the reason is the answer.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use tokio::{net::UnixStream, time::timeout};

use super::settings::Known;

/// The socket has answered a moment before.
const DEADLINE: Duration = Duration::from_secs(2);

/// A running program, by its folder below `/proc`.
pub(super) struct Process {
    folder: PathBuf,
}

/// One process's view of the file system.
pub(super) struct View {
    pub(super) root: PathBuf,
}

// === impl Process ===

impl Process {
    /// The one that listens on `socket`.
    ///
    /// # Errors
    /// Why it cannot be told, as half a sentence.
    pub(super) async fn behind(socket: &Path) -> Known<Self> {
        let connected = timeout(DEADLINE, UnixStream::connect(socket)).await;
        let stream = connected.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        let pid = stream.peer_cred().map_err(|e| e.to_string())?.pid().filter(|&pid| pid > 0);
        let pid = pid.ok_or("containerd's process is not visible from here")?;
        Ok(Self { folder: PathBuf::from(format!("/proc/{pid}")) })
    }

    /// How it was started, each word ended by a zero.
    pub(super) fn command_line(&self) -> Known<String> {
        let read = fs::read(self.folder.join("cmdline"));
        let words = read.map_err(|e| format!("containerd's command line cannot be read: {e}"))?;
        Ok(String::from_utf8_lossy(&words).into_owned())
    }

    /// The folder that it works in.
    pub(super) fn works_in(&self) -> PathBuf {
        fs::read_link(self.folder.join("cwd")).unwrap_or_else(|_| "/".into())
    }

    pub(super) fn view(&self) -> View {
        View { root: self.folder.join("root") }
    }
}

// === impl View ===

impl View {
    /// Where a path of that process is for us.
    pub(super) fn at(&self, path: &Path) -> PathBuf {
        let inside = path.components().filter(|part| matches!(part, Component::Normal(_)));
        self.root.join(inside.collect::<PathBuf>())
    }
}
