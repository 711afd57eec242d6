//! etcd and the programs of Kubernetes, built from the Go module in `kubernetes/`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Lock, cache, go};
use crate::process::run;

/// The release of Kubernetes that the tests run against; `kubernetes/go.mod` names it too.
pub const KUBERNETES: &str = "1.34.4";

const PROGRAMS: [&str; 6] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet"];

/// Where the output goes below the folder (etcd's own name would be `server`), and of what. The
/// trailing slash says that it is a folder.
const BUILDS: [(&str, &[&str]); 2] = [
    ("etcd", &["go.etcd.io/etcd/server/v3"]),
    (
        "",
        &[
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubectl",
            "k8s.io/kubernetes/cmd/kubelet",
        ],
    ),
];

/// The folder with etcd and the programs of Kubernetes, built or not.
pub fn kubernetes_folder() -> PathBuf {
    cache().join(format!("kubernetes-{KUBERNETES}"))
}

/// Whether they are there already.
pub fn kubernetes_is_built() -> bool {
    complete(&kubernetes_folder())
}

/// Builds them where that has not been done; about 9 minutes on two cores.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn build_kubernetes() -> Result<PathBuf> {
    let folder = kubernetes_folder();
    let _lock = Lock::take("kubernetes")?;
    if complete(&folder) {
        return Ok(folder);
    }
    let go = go().context("Go is not installed, so kube-apiserver cannot be built")?;
    for (output, packages) in BUILDS {
        run(build(&go).arg("-o").arg(folder.join(output)).args(packages))?;
    }
    Ok(folder)
}

/// Without symbols, and with the version by which clients decide what they may ask for.
fn build(go: &Path) -> Command {
    let version = "-X k8s.io/component-base/version.git";
    let mut parts = KUBERNETES.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let flags = format!(
        "-s -w {version}Version=v{KUBERNETES} {version}Major={major} {version}Minor={minor}",
    );
    let mut build = Command::new(go);
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes"));
    build.env("CGO_ENABLED", "0").env("GOFLAGS", "");
    build.args(["build", "-mod=readonly", "-buildvcs=false", "-ldflags", &flags]);
    build
}

fn complete(folder: &Path) -> bool {
    PROGRAMS.iter().all(|program| folder.join(program).is_file())
}
