//! Takes all that onepull left on a node off it, but the images: what it wrote into hosts.toml files, its leases
//! in containerd, and what it keeps in its data folder.
//!
//! Each part may run again, and none waits for another: what can be done is done.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};

use crate::{
    config::Config,
    containerd::{ContainerdError, dial, end_leases},
    hosts::{self, HostsError, Report},
    kube,
};

/// What became of each part.
#[derive(Debug)]
pub struct Removal {
    hosts: Result<Report, Failure>,
    leases: Result<usize, ContainerdError>,
    data: Result<(), Failure>,
}

/// Why a part is still there.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Hosts(#[from] HostsError),
    #[error("cannot remove {path}: {source}")]
    Data { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Ended(#[from] JoinError),
}

/// Removes them. Nothing of onepull may be running on the node, or it puts them back.
///
/// `parent` is where the folder that has the data folder in it is seen, if the data folder is a mount.
pub async fn uninstall(config: &Config, parent: Option<&Path>) -> Removal {
    let hosts = config.hosts();
    let hosts = match spawn_blocking(move || hosts::uninstall(&hosts)).await {
        Ok(report) => report.map_err(Failure::from),
        Err(error) => Err(error.into()),
    };
    let leases = match dial(&config.containerd_socket).await {
        Ok(channel) => end_leases(channel).await,
        Err(error) => Err(error),
    };
    let (folder, files) = (config.data_dir.clone(), config.node.identity.clone());
    let files = files.into_iter().chain([kube::remembered_in(&folder)]).collect();
    let seen = parent.zip(folder.file_name()).map(|(parent, name)| parent.join(name));
    let data = match spawn_blocking(move || remove(&folder, files, seen)).await {
        Ok(removed) => removed,
        Err(error) => Err(error.into()),
    };
    Removal { hosts, leases, data }
}

/// With what killed runs left beside them. The folder goes too, unless somebody else keeps something there; if it is a
/// mount, by the path `seen`.
fn remove(folder: &Path, files: Vec<PathBuf>, seen: Option<PathBuf>) -> Result<(), Failure> {
    let unfinished: Vec<_> = files.iter().map(|file| file.with_extension("unfinished")).collect();
    for path in files.into_iter().chain(unfinished) {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::Data { path, source });
            }
            _ => {}
        }
    }
    let _ = fs::remove_dir(seen.as_deref().unwrap_or(folder));
    Ok(())
}

// === impl Removal ===

impl Removal {
    /// Whether nothing is left.
    pub fn is_complete(&self) -> bool {
        let given_back = |report: &Report| report.refused().next().is_none();
        self.hosts.as_ref().is_ok_and(given_back) && self.leases.is_ok() && self.data.is_ok()
    }
}

impl fmt::Display for Removal {
    /// A line for each file, and for each part that is still there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Ok(report) => write!(f, "{report}")?,
            Err(error) => writeln!(f, "hosts.toml files: {error}")?,
        }
        match &self.leases {
            Ok(0) => {}
            Ok(ended) => writeln!(f, "ended {ended} leases of images in containerd")?,
            Err(error) => writeln!(f, "leases of images in containerd: {error}")?,
        }
        match &self.data {
            Ok(()) => Ok(()),
            Err(error) => writeln!(f, "data folder: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_goes_unless_somebody_else_keeps_something_there() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let own = |name: &str| data.join(name);
        fs::create_dir(&data).unwrap();
        for name in ["identity", "identity.unfinished", "theirs"] {
            fs::write(own(name), "").unwrap();
        }
        remove(&data, vec![own("identity"), own("never-made")], None).unwrap();
        assert!(!own("identity").exists() && own("theirs").exists());
        fs::remove_file(own("theirs")).unwrap();
        remove(&data, vec![own("identity")], None).unwrap();
        assert!(!data.exists());
        let refused = remove(&data, vec![folder.path().to_owned()], None).unwrap_err().to_string();
        assert!(refused.starts_with("cannot remove "), "{refused}");
    }

    #[test]
    fn a_data_folder_that_is_a_mount_goes_by_the_folder_that_it_is_in() {
        let folder = tempfile::tempdir().unwrap();
        let [mount, data] = ["mount", "data"].map(|name| folder.path().join(name));
        fs::create_dir(&mount).unwrap();
        fs::create_dir(&data).unwrap();
        remove(&mount, Vec::new(), Some(data.clone())).unwrap();
        assert!(mount.exists() && !data.exists());
    }
}
