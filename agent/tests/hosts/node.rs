//! A node's folders in a temporary place.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use onepull_agent::hosts::{
    HostsConfig, Outcome, Registry, Report, install, install_again, uninstall,
};
use tempfile::TempDir;

/// The lines that must be in every file that names the mirror.
pub(crate) const OURS: &str = "[host.\"http://127.0.0.1:29900\"]\ncapabilities = [\"pull\"]\n";

pub(crate) struct Node {
    pub(crate) root: TempDir,
    pub(crate) config: HostsConfig,
}

impl Node {
    pub(crate) fn new(registries: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let registries = registries.iter().map(|r| r.parse::<Registry>().unwrap()).collect();
        let config = HostsConfig {
            hosts_dir: root.path().join("certs.d"),
            data_dir: root.path().join("data"),
            mirror: "127.0.0.1:29900".parse().unwrap(),
            registries,
        };
        Self { root, config }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.config.hosts_dir.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn install(&self) -> Vec<String> {
        self.outcomes(&install(&self.config).unwrap())
    }

    pub(crate) fn install_again(&self) -> Option<Vec<String>> {
        install_again(&self.config).unwrap().map(|report| self.outcomes(&report))
    }

    pub(crate) fn uninstall(&self) -> Vec<String> {
        self.outcomes(&uninstall(&self.config).unwrap())
    }

    pub(crate) fn lose_backup(&self) {
        fs::remove_dir_all(self.root.path().join("data/hosts-backup")).unwrap();
    }

    /// Every file and folder on the node, with its bytes. The data folder itself is the agent's
    /// and may stay; whatever was kept in it must not.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut tree = tree(self.root.path());
        let data = self.root.path().join("data");
        if data.is_dir() {
            tree.remove(&data);
        }
        tree
    }

    fn outcomes(&self, report: &Report) -> Vec<String> {
        let line = |file: &Path, outcome: &Outcome| {
            let name = file.strip_prefix(&self.config.hosts_dir).unwrap().display();
            match outcome {
                Outcome::Refused(why) => format!("{name} refused: {why}"),
                outcome => format!("{name} {outcome:?}"),
            }
        };
        report.files.iter().map(|report| line(&report.file, &report.outcome)).collect()
    }
}

fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
            found.insert(path, None);
        } else {
            found.insert(path.clone(), Some(fs::read(&path).unwrap()));
        }
    }
    found
}
