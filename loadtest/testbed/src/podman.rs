//! podman as a client that sends no `ns`: its mirror settings put the registry into the path.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    net::{Host, command_in},
    process::run,
    tools,
};

/// A podman with storage of its own, in a host or in the machine's network.
#[derive(Debug)]
pub struct Podman {
    namespace: Option<String>,
    folder: TempDir,
}

// === impl Podman ===

impl Podman {
    /// Sets it up so that images of `registry` (`HOST[:PORT]`, plain HTTP) are asked of the mirror
    /// at `mirror` (`127.0.0.1:29900`) first.
    ///
    /// # Errors
    /// When podman is not installed or the settings cannot be written.
    pub fn new(host: Option<&Host>, registry: &str, mirror: &str) -> Result<Self> {
        tools::find("podman").context("podman is not installed")?;
        let folder = tempfile::Builder::new().prefix("onepull-podman-").tempdir()?;
        fs::write(folder.path().join("registries.conf"), render(registry, mirror))?;
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(folder.path().join("policy.json"), policy)?;
        Ok(Self { namespace: host.map(|host| host.namespace().to_owned()), folder })
    }

    /// Pulls an image and returns its id, which is the hex of its config's digest.
    ///
    /// # Errors
    /// When podman fails, with what it said.
    pub async fn pull(&self, image: &str) -> Result<String> {
        let path = |name: &str| self.folder.path().join(name);
        let mut podman = command_in(self.namespace.as_deref(), "podman");
        podman.arg("--root").arg(path("storage")).arg("--runroot").arg(path("run"));
        podman.args(["--storage-driver", "vfs", "--events-backend", "none"]);
        podman.args(["--cgroup-manager", "cgroupfs"]).arg("--tmpdir").arg(path("tmp"));
        podman.args(["pull", "--quiet", "--signature-policy"]).arg(path("policy.json")).arg(image);
        podman.env("CONTAINERS_REGISTRIES_CONF", path("registries.conf"));
        let id = tokio::task::spawn_blocking(move || run(&mut podman)).await??;
        Ok(id.trim().to_owned())
    }

    /// Where it keeps its storage.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn render(registry: &str, mirror: &str) -> String {
    format!(
        "[[registry]]\nlocation = {registry:?}\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{mirror}/{registry}\"\ninsecure = true\n"
    )
}
