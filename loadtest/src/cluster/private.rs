//! A registry that wants a login, and how the nodes that pull from it come by one.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use onepull_api::logins::AUDIENCE;
use onepull_testbed::registry::{Access, Auth, PASSWORD, USER};
use serde::{Deserialize, Serialize};

use super::{control::Control, file::File, objects::AGENT, stage::Stage};
use crate::fleet::FleetError;

/// Where a seed's login comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Private {
    /// From the pull secret that the ImageCache names, by the controller.
    Secret,
    /// From a credential plugin on the node, as the kubelet runs it. The ImageCache names no secret, so the
    /// controller is not let in, and a node asks the registry what the tags stand for.
    Plugin,
}

/// The nodes whose login a registry took for one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetIn {
    /// The image's repository in the registry.
    pub repository: String,
    /// Nodes that it sent something of that repository.
    pub nodes: Vec<String>,
}

/// What every agent is told of logins.
pub(super) struct Means {
    registry: String,
    private: Option<Private>,
    /// Configuration and program of the plugin.
    plugin: Option<[PathBuf; 2]>,
}

// === impl Means ===

impl Means {
    /// Prepares what agents are told; `folder` is for files.
    pub(super) fn prepare(
        private: Option<Private>,
        registry: &str,
        folder: &Path,
    ) -> Result<Self, FleetError> {
        let plugin = match private {
            Some(Private::Plugin) => Some(write_plugin(registry, &folder.join("plugins"))?),
            _ => None,
        };
        Ok(Self { registry: registry.to_owned(), private, plugin })
    }

    /// The flags of the agent that has the pod `pod`.
    pub(super) async fn flags(
        &self,
        control: &Control,
        pod: &str,
    ) -> Result<Vec<OsString>, FleetError> {
        let mut flags = Vec::new();
        if let Some([config, programs]) = &self.plugin {
            flags.extend(["--image-credential-provider-config".into(), config.into()]);
            flags.extend(["--image-credential-provider-bin-dir".into(), programs.into()]);
            flags.extend(["--plain-http".into(), OsString::from(&self.registry)]);
        }
        if self.private != Some(Private::Plugin) {
            let token = control.token(AGENT, Some(pod), Some(AUDIENCE)).await?;
            let file = control.write(&format!("{pod}.token"), &token)?;
            flags.extend(["--controller-token".into(), file.into()]);
        }
        Ok(flags)
    }
}

/// Writes a plugin that knows the registry's login, and the configuration that names it.
fn write_plugin(registry: &str, folder: &Path) -> Result<[PathBuf; 2], FleetError> {
    const PROTOCOL: &str = "credentialprovider.kubelet.k8s.io/v1";
    let auth = serde_json::json!({registry: {"username": USER, "password": PASSWORD}});
    let answer = serde_json::json!({
        "apiVersion": PROTOCOL, "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry", "cacheDuration": "1h", "auth": auth,
    });
    let program = format!("#!/bin/sh\ncat >/dev/null\ncat <<'END'\n{answer}\nEND\n");
    let config = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
        "providers": [{
            "name": "testbed", "apiVersion": PROTOCOL, "matchImages": [registry],
            "defaultCacheDuration": "1h",
        }],
    });
    let paths = [folder.join("config.yaml"), folder.to_owned()];
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(&paths[0], config.to_string())?;
        let file = folder.join("testbed");
        fs::write(&file, program)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))
    };
    written().map_err(FleetError::setup("write a credential plugin"))?;
    Ok(paths)
}

/// What is applied.
pub(super) fn file(private: Option<Private>, file: File) -> Result<File, FleetError> {
    match private {
        Some(Private::Plugin) => file.without_secrets(),
        _ => Ok(file),
    }
}

/// Who may use the registry.
pub(super) fn auth(private: Option<Private>) -> Auth {
    private.map_or(Auth::Open, |_| Auth::Basic)
}

// === impl Stage ===

impl Stage {
    /// Whom a private registry let in, from its access log.
    pub(super) fn let_in(&self) -> Result<Vec<LetIn>, FleetError> {
        if self.config.private.is_none() {
            return Ok(Vec::new());
        }
        let requests = self.origin.registry.requests();
        let requests = requests.map_err(FleetError::setup("read the registry's access log"))?;
        let repositories = self.images.iter().map(|wanted| {
            let (repository, _) = wanted.named.parts();
            repository.split_once('/').map_or(repository, |(_, path)| path).to_owned()
        });
        let let_in = |repository: String| {
            let nodes = self.nodes.iter().filter(|node| {
                let ip = node.host.ip();
                requests.iter().any(|access| access.client == ip && lets_in(access, &repository))
            });
            let nodes = nodes.map(|node| node.name.clone()).collect();
            LetIn { repository, nodes }
        };
        Ok(repositories.collect::<BTreeSet<_>>().into_iter().map(let_in).collect())
    }
}

fn lets_in(access: &Access, repository: &str) -> bool {
    let is_about = access.target.starts_with(&format!("/v2/{repository}/"));
    is_about && (200..400).contains(&access.status)
}
