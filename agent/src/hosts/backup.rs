//! What onepull keeps outside certs.d to undo its changes: the original files and a manifest.
//!
//! The markers in each file are enough to take the change back. The backup is for what they cannot
//! know: that a file is byte for byte as onepull left it, and which folders were made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use onepull_mirror::Digest;
use serde::{Deserialize, Serialize};

use super::replace;

const FOLDER: &str = "hosts-backup";
const MANIFEST: &str = "manifest.json";

/// The originals of the files that onepull changed. Every change is on disk before the change of
/// the file itself, so that a crash between the two loses nothing.
pub(super) struct Backup {
    folder: PathBuf,
    manifest: Manifest,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Manifest {
    files: BTreeMap<PathBuf, Entry>,
    /// Folders that did not exist, outermost first.
    made_folders: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    /// The digest of what onepull wrote.
    written: String,
    /// The file below the backup folder that has the original; `None` when there was none.
    original: Option<String>,
}

/// What a file held before onepull came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Original {
    /// These bytes.
    Bytes(Vec<u8>),
    /// There was no file.
    Missing,
}

// === impl Backup ===

impl Backup {
    /// Reads the backup below the data folder. A manifest that cannot be read counts as none: the
    /// markers in the files still tell what is to be undone.
    pub(super) fn open(data_dir: &Path) -> Self {
        let folder = data_dir.join(FOLDER);
        let manifest = match replace::read(&folder.join(MANIFEST)) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, ?folder, "the manifest of the hosts backup is damaged");
                Manifest::default()
            }),
            Ok(None) => Manifest::default(),
            Err(error) => {
                tracing::warn!(%error, ?folder, "the manifest of the hosts backup is unreadable");
                Manifest::default()
            }
        };
        Self { folder, manifest }
    }

    /// The files that were changed and not restored since.
    pub(super) fn files(&self) -> BTreeSet<PathBuf> {
        self.manifest.files.keys().cloned().collect()
    }

    /// Notes that `file` is about to become `written`, and keeps what it held.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn keep(
        &mut self,
        file: &Path,
        original: &Original,
        written: &[u8],
    ) -> io::Result<()> {
        replace::make_folder(&self.folder)?;
        let original = match original {
            Original::Missing => None,
            Original::Bytes(bytes) => {
                let name = format!("{}.toml", Digest::sha256(bytes).hex());
                replace::replace(&self.folder.join(&name), bytes)?;
                Some(name)
            }
        };
        let written = Digest::sha256(written).to_string();
        self.manifest.files.insert(file.to_owned(), Entry { written, original });
        self.save()
    }

    /// Notes folders that are about to be made.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn keep_folders(&mut self, folders: Vec<PathBuf>) -> io::Result<()> {
        if folders.is_empty() {
            return Ok(());
        }
        replace::make_folder(&self.folder)?;
        self.manifest.made_folders.extend(folders);
        self.save()
    }

    /// What `file` held, if `current` is exactly what onepull wrote and the original is intact.
    pub(super) fn original(&self, file: &Path, current: &[u8]) -> Option<Original> {
        let entry = self.manifest.files.get(file)?;
        if entry.written != Digest::sha256(current).to_string() {
            return None;
        }
        let Some(name) = &entry.original else { return Some(Original::Missing) };
        let bytes = replace::read(&self.folder.join(name)).ok()??;
        (*name == format!("{}.toml", Digest::sha256(&bytes).hex()))
            .then_some(Original::Bytes(bytes))
    }

    /// Forgets a file that has been restored.
    pub(super) fn forget(&mut self, file: &Path) {
        self.manifest.files.remove(file);
    }

    /// Removes the folders that were made for files that are gone, innermost first.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn remove_made_folders(&mut self) -> io::Result<()> {
        for folder in std::mem::take(&mut self.manifest.made_folders).into_iter().rev() {
            replace::remove_empty(&folder)?;
            if folder.exists() {
                self.manifest.made_folders.insert(folder);
            }
        }
        Ok(())
    }

    /// Writes down what is left and drops originals that nothing needs any more; when no file is
    /// left, the backup removes itself.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn finish(self) -> io::Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        if self.manifest.files.is_empty() {
            return fs::remove_dir_all(&self.folder);
        }
        self.save()?;
        let used: BTreeSet<_> =
            self.manifest.files.values().filter_map(|entry| entry.original.clone()).collect();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != MANIFEST && !used.contains(&name) {
                replace::remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }

    fn save(&self) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(&self.manifest)?;
        let file = self.folder.join(MANIFEST);
        match replace::read(&file) {
            Ok(Some(there)) if there == json => Ok(()),
            _ => replace::replace(&file, &json),
        }
    }
}
