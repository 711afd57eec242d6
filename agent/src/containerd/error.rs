//! Why containerd could not be used, in words that say what to do.

use std::{error::Error as _, io, path::PathBuf};

use containerd_client::tonic;
use thiserror::Error;

/// Why containerd could not be used.
#[derive(Debug, Error)]
pub enum ContainerdError {
    /// There is nothing at the path.
    #[error(
        "{} does not exist: start containerd, or name its socket with --containerd-socket",
        socket.display()
    )]
    SocketMissing {
        /// The path that was tried.
        socket: PathBuf,
    },
    /// There is something else at the path.
    #[error("{} is not a socket: name containerd's with --containerd-socket", socket.display())]
    NotASocket {
        /// The path that was tried.
        socket: PathBuf,
    },
    /// The socket is there but not for us.
    #[error("no permission to connect to {}: run as root or in the group that owns it", socket.display())]
    PermissionDenied {
        /// The path that was tried.
        socket: PathBuf,
    },
    /// The socket is left over, or its owner hangs.
    #[error("nobody answers on {}: check that containerd runs", socket.display())]
    NobodyAnswers {
        /// The path that was tried.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Connected, but it speaks no gRPC.
    #[error("what answers on {} is not containerd: check --containerd-socket", socket.display())]
    NotContainerd {
        /// The path that was tried.
        socket: PathBuf,
        /// What the transport said.
        source: tonic::transport::Error,
    },
    /// A call failed.
    #[error("containerd could not {step}")]
    Call {
        /// What it was asked, completing "could not".
        step: &'static str,
        /// Its answer.
        source: Box<tonic::Status>,
    },
    /// A call did not end in time.
    #[error("containerd did not {step} in time: check that it is healthy and its disk not stuck")]
    TimedOut {
        /// What it was asked, completing "did not".
        step: &'static str,
    },
    /// Introspection names no content folder.
    #[error("containerd names no content folder: its plugin io.containerd.content.v1 is missing")]
    NoContentFolder,
    /// The content folder cannot be read here.
    #[error(
        "cannot read containerd's content folder {}: run as root, and mount it at the same path",
        root.display()
    )]
    ContentFolder {
        /// The folder that containerd named.
        root: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The stream of events ended, as it does when containerd stops.
    #[error("containerd closed its event stream")]
    EventsEnded,
}

// === impl ContainerdError ===

impl ContainerdError {
    /// Whether waiting for containerd cannot help: somebody has to change something.
    pub fn is_misconfiguration(&self) -> bool {
        matches!(self, Self::NotASocket { .. } | Self::PermissionDenied { .. })
    }

    /// What containerd answered, if it did.
    pub(super) fn code(&self) -> Option<tonic::Code> {
        match self {
            Self::Call { source, .. } => Some(source.code()),
            _ => None,
        }
    }

    /// What went wrong, and why.
    pub(crate) fn with_cause(&self) -> String {
        match self.source() {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    pub(super) fn call(step: &'static str, status: tonic::Status) -> Self {
        Self::Call { step, source: Box::new(status) }
    }
}
