//! Reaching containerd's socket, and telling apart the ways in which that fails.
//!
//! gRPC libraries report every one of them as "transport error"; a person on the node needs to
//! know whether to start containerd, to correct a path, or to become root. So the socket is tried
//! plainly first.

use std::{
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::Duration,
};

use containerd_client::tonic::transport::Channel;
use tokio::{fs, net::UnixStream, time::timeout};

use super::ContainerdError;

/// A live containerd accepts in well under a millisecond; one on a starved node may take seconds.
const DIAL_DEADLINE: Duration = Duration::from_secs(5);

/// Connects to the containerd that listens on `socket`.
///
/// # Errors
/// What is wrong with the socket, as precisely as it can be told.
pub async fn dial(socket: &Path) -> Result<Channel, ContainerdError> {
    match timeout(DIAL_DEADLINE, connect(socket)).await {
        Ok(connected) => connected,
        Err(elapsed) => Err(ContainerdError::NobodyAnswers {
            socket: socket.to_owned(),
            source: io::Error::new(io::ErrorKind::TimedOut, elapsed),
        }),
    }
}

async fn connect(socket: &Path) -> Result<Channel, ContainerdError> {
    if let Err(error) = UnixStream::connect(socket).await {
        return Err(diagnose(socket.to_owned(), error).await);
    }
    containerd_client::connect(socket)
        .await
        .map_err(|source| ContainerdError::NotContainerd { socket: socket.to_owned(), source })
}

/// Connecting to a regular file is "refused", as if nobody listened: look what it is.
async fn diagnose(socket: PathBuf, source: io::Error) -> ContainerdError {
    let kind = fs::metadata(&socket).await.map(|metadata| metadata.file_type());
    match (source.kind(), kind) {
        (_, Ok(kind)) if !kind.is_socket() => ContainerdError::NotASocket { socket },
        (io::ErrorKind::NotFound, _) => ContainerdError::SocketMissing { socket },
        (io::ErrorKind::PermissionDenied, _) => ContainerdError::PermissionDenied { socket },
        _ => ContainerdError::NobodyAnswers { socket, source },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_missing_socket_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = dial(&folder.path().join("none.sock")).await.unwrap_err();
        assert!(matches!(error, ContainerdError::SocketMissing { .. }), "{error:?}");
        assert!(error.to_string().contains("none.sock does not exist: start containerd"));
    }

    #[tokio::test]
    async fn a_file_or_folder_is_not_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [folder.path(), &file] {
            let error = dial(path).await.unwrap_err();
            assert!(matches!(error, ContainerdError::NotASocket { .. }), "{error:?}");
            assert!(error.is_misconfiguration());
        }
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("dead.sock");
        drop(UnixListener::bind(&socket).unwrap());
        let error = dial(&socket).await.unwrap_err();
        assert!(matches!(error, ContainerdError::NobodyAnswers { .. }), "{error:?}");
        assert!(!error.is_misconfiguration());
    }
}
