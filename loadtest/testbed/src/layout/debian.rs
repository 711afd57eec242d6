//! A real image: Debian with packages, in gzip layers made by umoci, as a build tool makes them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::Layout;
use crate::{
    process::run,
    tools::{Lock, cache},
};

/// Debian 12, for which the testbed's other packages are too.
const SUITE: &str = "bookworm";

/// One layer each, on top of the base: more layers together than a node downloads at once (3), a
/// few hundred MiB unpacked, many small files.
const LAYERS: [&[&str]; 3] = [&["build-essential"], &["git"], &["python3", "cmake"]];

/// The image, built on first use and kept in `target/testbed`.
///
/// # Errors
/// Without root, debootstrap, umoci or a reachable Debian mirror.
pub fn debian_layout() -> Result<Layout> {
    let _lock = Lock::take("debian")?;
    let finished = cache().join("debian-layout");
    if !finished.exists() {
        let work = tempfile::Builder::new().prefix("debian-").tempdir_in(cache())?;
        let layout = Build { work: work.path().to_owned() }.run()?;
        fs::rename(layout, &finished)?;
    }
    Layout::open(finished)
}

/// One build in a folder of its own.
struct Build {
    work: PathBuf,
}

// === impl Build ===

impl Build {
    fn run(&self) -> Result<PathBuf> {
        let layout = self.work.join("layout");
        let image = format!("{}:image", layout.display());
        self.umoci(&["init", "--layout", &layout.to_string_lossy()])?;
        self.umoci(&["new", "--image", &image])?;
        let bundle = self.work.join("bundle");
        let bundle_name = bundle.to_string_lossy().into_owned();
        self.umoci(&["unpack", "--image", &image, &bundle_name])?;
        let root = bundle.join("rootfs");
        self.debootstrap(&root)?;
        let repack =
            || self.umoci(&["repack", "--refresh-bundle", "--image", &image, &bundle_name]);
        let lists = Lists::take(&root, self.work.join("lists"))?;
        repack()?;
        for packages in LAYERS {
            lists.lend(|| install(&root, packages))?;
            repack()?;
        }
        self.umoci(&["gc", "--layout", &layout.to_string_lossy()])?;
        Ok(layout)
    }

    fn umoci(&self, arguments: &[&str]) -> Result<()> {
        run(Command::new("umoci").args(arguments).current_dir(&self.work))?;
        Ok(())
    }

    fn debootstrap(&self, root: &Path) -> Result<()> {
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.args(["--variant=minbase", SUITE]).arg(root);
        run(&mut debootstrap).context("cannot bootstrap Debian")?;
        Ok(())
    }
}

/// apt's package lists, kept out of the image: half of a small base, and nothing of its use.
struct Lists {
    inside: PathBuf,
    outside: PathBuf,
}

// === impl Lists ===

impl Lists {
    fn take(root: &Path, outside: PathBuf) -> Result<Self> {
        let lists = Self { inside: root.join("var/lib/apt/lists"), outside };
        lists.remove()?;
        drop_packages(root)?;
        Ok(lists)
    }

    /// Puts the lists back while `work` runs.
    fn lend(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        fs::remove_dir(&self.inside)?;
        fs::rename(&self.outside, &self.inside)?;
        work()?;
        self.remove()
    }

    fn remove(&self) -> Result<()> {
        fs::rename(&self.inside, &self.outside).context("cannot take the package lists away")?;
        fs::create_dir(&self.inside)?;
        Ok(())
    }
}

/// Installs packages in the tree. The mount and process namespaces are private, so that a package's
/// scripts leave neither a mount nor a process behind.
fn install(root: &Path, packages: &[&str]) -> Result<()> {
    let mut apt = Command::new("unshare");
    apt.args(["--mount", "--pid", "--fork", "--kill-child", "chroot"]).arg(root);
    apt.args(["apt-get", "install", "--yes", "--no-install-recommends"]).args(packages);
    apt.args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]);
    apt.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    run(&mut apt).with_context(|| format!("cannot install {packages:?}"))?;
    drop_packages(root)
}

fn drop_packages(root: &Path) -> Result<()> {
    let archives = root.join("var/cache/apt/archives");
    fs::remove_dir_all(&archives).context("cannot drop the packages")?;
    fs::create_dir_all(archives.join("partial"))?;
    Ok(())
}
