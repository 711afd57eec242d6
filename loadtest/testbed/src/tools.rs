//! Where the programs are: Debian's in `PATH`, those built from Go modules in `target/testbed`.

mod helm;
mod kubernetes;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use crate::process::run;

pub use helm::{HELM, build_helm, helm_is_built, helm_program};
pub use kubernetes::{KUBERNETES, build_kubernetes, kubernetes_folder, kubernetes_is_built};

/// The release of containerd 2 that the tests run against.
pub const CONTAINERD_2: &str = "2.2.9";

/// Where a program is looked for; `sbin` is where Debian keeps `ip` and `runc`, and it is not in
/// every user's `PATH`.
const SEARCH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Where Debian has CNI's plugins.
pub const CNI: &str = "/usr/lib/cni";

/// Go's own installer puts it here, outside the search path of many shells.
const GO: &str = "/usr/local/go/bin/go";

/// Everything that the testbed builds or caches, removed with `cargo clean`.
pub fn cache() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = manifest.ancestors().nth(2).unwrap_or(manifest);
    workspace.join("target/testbed")
}

/// The path of an installed program.
pub fn find(program: &str) -> Option<PathBuf> {
    SEARCH.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

/// The Go command.
pub fn go() -> Option<PathBuf> {
    find("go").or_else(|| Some(PathBuf::from(GO)).filter(|go| go.is_file()))
}

/// The folder with `containerd`, `ctr` and the shim of release 2.2, built or not.
pub fn containerd_2_folder() -> PathBuf {
    cache().join(containerd_2_name())
}

/// Whether containerd 2.2 is there already.
pub fn containerd_2_is_built() -> bool {
    complete(&containerd_2_folder())
}

/// Builds containerd 2.2 from its Go module where that has not been done; about 2 minutes.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn build_containerd_2() -> Result<PathBuf> {
    let folder = containerd_2_folder();
    let _lock = Lock::take("containerd-2")?;
    if complete(&folder) {
        return Ok(folder);
    }
    let module = "github.com/containerd/containerd/v2/cmd";
    let package = |program| format!("{module}/{program}@v{CONTAINERD_2}");
    go_install(&containerd_2_name(), &CONTAINERD_2_PROGRAMS.map(package))?;
    Ok(folder)
}

fn containerd_2_name() -> String {
    format!("containerd-{CONTAINERD_2}")
}

/// Builds programs of Go modules into the folder `name` of the cache.
fn go_install(name: &str, packages: &[String]) -> Result<()> {
    let go = go().with_context(|| format!("Go is not installed, so {name} cannot be built"))?;
    let mut install = Command::new(go);
    install.arg("install").env("GOBIN", cache().join(name)).env("CGO_ENABLED", "0");
    run(install.args(packages))?;
    Ok(())
}

const CONTAINERD_2_PROGRAMS: [&str; 3] = ["containerd", "ctr", "containerd-shim-runc-v2"];

fn complete(folder: &Path) -> bool {
    CONTAINERD_2_PROGRAMS.iter().all(|program| folder.join(program).is_file())
}

/// A lock between processes, so that several tests build or fetch a thing once. It ends with the
/// value, or with the process.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(name: &str) -> Result<Self> {
        fs::create_dir_all(cache()).context("cannot make target/testbed")?;
        let file = File::create(cache().join(format!("{name}.lock")))?;
        flock(&file, FlockOperation::LockExclusive).context("cannot lock")?;
        Ok(Self { _file: file })
    }
}
