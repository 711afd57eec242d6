//! Builds of the image, of the programs that lie beside this crate's own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use flate2::read::GzDecoder;
use onepull_deploy::deploy;
use onepull_testbed::{Layout, Requirement, process::run, skip, skip_without};
use serde_json::Value;
use tar::Archive;
use tempfile::TempDir;

/// The second that the image is told to be of: 2026-01-02T03:04:05Z.
pub(crate) const EPOCH: u64 = 1_767_323_045;

/// The commit that it is told to be of.
pub(crate) const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// The image that the tests look at; building it takes some seconds.
static BUILT: LazyLock<Build> = LazyLock::new(|| Build::by(Command::new(script())));

/// A build in a folder of its own.
#[derive(Debug)]
pub(crate) struct Build {
    folder: TempDir,
    /// What was printed.
    pub(crate) said: String,
}

/// Whether `test` should return at once, because the image cannot be built here.
pub(crate) fn no_image(test: &str, more: &[Requirement]) -> bool {
    skip(test, &[&[Requirement::OwnImage], more].concat())
        || skip_without(test, &program("onepull-agent"))
        || skip_without(test, &program("onepull-controller"))
}

/// Where a program of the workspace is.
fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_onepull-deploy")).with_file_name(name)
}

/// The image.
pub(crate) fn image() -> &'static Build {
    &BUILT
}

pub(crate) fn script() -> PathBuf {
    deploy().join("image/build.sh")
}

// === impl Build ===

impl Build {
    /// One by a command to which the script's arguments are added.
    pub(crate) fn by(mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = program("onepull-agent").parent().unwrap().to_owned();
        command.arg(programs).arg(folder.path().join("out"));
        command.env("SOURCE_DATE_EPOCH", EPOCH.to_string()).env("REVISION", REVISION);
        let said = run(command.env_remove("SOURCE")).unwrap();
        Self { folder, said }
    }

    /// The folder in which it was left.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// The image.
    pub(crate) fn layout(&self) -> Layout {
        Layout::open(self.out().join("layout")).unwrap()
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> Value {
        let layout = self.layout();
        let config = layout.blob(layout.manifest().config().digest());
        serde_json::from_slice(&fs::read(config).unwrap()).unwrap()
    }

    /// Its file system, as it is stored.
    pub(crate) fn layer(&self) -> Archive<GzDecoder<File>> {
        let layout = self.layout();
        let [layer] = &layout.manifest().layers()[..] else { panic!("it has several layers") };
        Archive::new(GzDecoder::new(File::open(layout.blob(layer.digest())).unwrap()))
    }

    /// Its file system, as a runtime unpacks it.
    pub(crate) fn unpacked(&self) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let mut layer = self.layer();
        layer.set_preserve_permissions(true);
        layer.unpack(root.path()).unwrap();
        root
    }

    /// What is in it, as the bill of materials has it.
    pub(crate) fn bill(&self) -> Value {
        serde_json::from_slice(&fs::read(self.out().join("sbom.cdx.json")).unwrap()).unwrap()
    }
}
