//! Renders the Helm chart. The chart is the one source of what is deployed: the Kustomize base and what
//! removes it again are rendered from it and committed, and tests of other crates install the base.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use onepull_testbed::{process::run, tools::build_helm};

/// The namespace that renderings are for.
pub const NAMESPACE: &str = "onepull-system";

/// A file that is rendered and committed.
#[derive(Clone, Copy, Debug)]
pub struct Rendering {
    /// Below `deploy/`.
    pub file: &'static str,
    /// What `helm template` is told beside the chart.
    arguments: &'static [&'static str],
}

/// The Secret of who uses Kustomize is theirs: nothing there makes one once and keeps it.
const KEY: &str = "--set=clusterKey.existingSecret=onepull-cluster-key";

/// Those that people apply, then those that only tests look at.
pub const RENDERINGS: [Rendering; 3] = [
    Rendering {
        file: "kustomize/base/onepull.yaml",
        arguments: &[KEY, "--include-crds", "--no-hooks"],
    },
    Rendering {
        file: "kustomize/uninstall/uninstall.yaml",
        arguments: &[KEY, "--show-only=templates/uninstall.yaml"],
    },
    Rendering {
        file: "render/tests/golden/full.yaml",
        arguments: &["--values=render/tests/values/full.yaml"],
    },
];

/// The folder `deploy`.
pub fn deploy() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

// === impl Rendering ===

impl Rendering {
    /// Its text, which says where it comes from.
    ///
    /// # Errors
    /// When the chart cannot be rendered.
    pub fn text(&self) -> Result<String> {
        let rendered = template(self.arguments)?;
        Ok(format!("# Rendered from deploy/chart by `make generate`.\n{rendered}"))
    }
}

/// What `helm template` prints for the chart.
///
/// # Errors
/// What Helm says.
pub fn template(arguments: &[&str]) -> Result<String> {
    let namespace = format!("--namespace={NAMESPACE}");
    helm(&[&["template", "onepull", "chart", &namespace], arguments].concat())
}

/// Runs Helm in `deploy`; paths are below that. It knows no cluster.
///
/// # Errors
/// What Helm says.
pub fn helm(arguments: &[&str]) -> Result<String> {
    let mut helm = Command::new(build_helm()?);
    run(helm.current_dir(deploy()).env("KUBECONFIG", "/dev/null").args(arguments))
}
