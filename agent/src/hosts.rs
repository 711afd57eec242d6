//! Points containerd at the local mirror through `hosts.toml` files, and takes it back.
//!
//! The mirror is put in front of whatever a file says already; all that the user wrote stays, byte
//! for byte, and is what containerd falls through to. [`install`] may run at every start, and
//! [`install_again`] at any time after: they change only what is not yet as it should be.
//! [`uninstall`] leaves no trace.
//!
//! How containerd reads these files was taken from `remotes/docker/config/hosts.go` of 1.6.20 and
//! `core/remotes/docker/config/hosts.go` of 2.2.9: hosts are tried in the order of their tables,
//! `server` last; a folder of a registry's own hides `_default`; certificates that only lie in the
//! folder are read only where there is no usable `hosts.toml`.
//!
//! This module does not know whether containerd reads the folder at all; `check` does.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use thiserror::Error;

mod backup;
mod block;
mod certificates;
mod folders;
mod meaning;
mod merge;
mod registry;
mod replace;
mod report;
mod standing;

use backup::{Backup, Original};
use block::{Block, Made, strip};
use certificates::Certificates;
use folders::Wanted;
use meaning::Meaning;

pub use block::Unbalanced;
pub use merge::MergeError;
pub use registry::{ParseRegistryError, Registry};
pub use report::{FileError, FileReport, Outcome, Report};
pub use standing::{Standing, survey};

const FILE_NAME: &str = "hosts.toml";

/// What to write where.
#[derive(Clone, Debug)]
pub struct HostsConfig {
    /// The folder that containerd's `config_path` names.
    pub hosts_dir: PathBuf,
    /// Where originals are kept; a folder of theirs is made below it.
    pub data_dir: PathBuf,
    /// Where the mirror listens.
    pub mirror: SocketAddr,
    /// The registries whose pulls come to the mirror; none means all.
    pub registries: Vec<Registry>,
}

/// Why nothing could be done at all.
#[derive(Debug, Error)]
pub enum HostsError {
    /// Two agents on one node, or a person at the same moment.
    #[error("another onepull-agent is changing {0} right now: try again")]
    Busy(PathBuf),
    /// The folder of `hosts.toml` files cannot be used.
    #[error("cannot use the folder of hosts files {path}: {source}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The folder for originals cannot be used.
    #[error("cannot keep originals below {path}: {source}")]
    Backup {
        /// The data folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

// === impl HostsConfig ===

impl HostsConfig {
    /// The mirror as containerd reaches it: always over loopback.
    fn mirror_url(&self) -> String {
        let mut address = self.mirror;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }

    fn folder_error(&self, source: io::Error) -> HostsError {
        HostsError::Folder { path: self.hosts_dir.clone(), source }
    }

    fn backup_error(&self, source: io::Error) -> HostsError {
        HostsError::Backup { path: self.data_dir.clone(), source }
    }
}

/// Makes the mirror the first host of every file that has to name it, and takes it out of those
/// that no longer have to. A file that cannot be changed safely is left alone and reported.
///
/// # Errors
/// When the folders cannot be used at all; nothing was changed then.
pub fn install(config: &HostsConfig) -> Result<Report, HostsError> {
    let mut backup = Backup::open(&config.data_dir);
    backup
        .keep_folders(replace::missing_folders(&config.hosts_dir))
        .map_err(|e| config.backup_error(e))?;
    replace::make_folder(&config.hosts_dir).map_err(|e| config.folder_error(e))?;
    let lock = lock(config)?;
    install_locked(config, backup, &lock)
}

/// [`install`] while the agent serves: for folders and certificates that came since. `None` when nothing of
/// onepull is there any more: it was uninstalled meanwhile, and nothing was changed.
///
/// # Errors
/// When the folders cannot be used at all; nothing was changed then.
pub fn install_again(config: &HostsConfig) -> Result<Option<Report>, HostsError> {
    if !config.hosts_dir.exists() {
        let is_remembered = !Backup::open(&config.data_dir).files().is_empty();
        return is_remembered.then(|| install(config)).transpose();
    }
    // What an uninstall has done is read when it cannot go on any more.
    let lock = lock(config)?;
    let backup = Backup::open(&config.data_dir);
    if ours(config, &backup)?.is_empty() {
        return Ok(None);
    }
    install_locked(config, backup, &lock).map(Some)
}

fn install_locked(
    config: &HostsConfig,
    mut backup: Backup,
    _lock: &File,
) -> Result<Report, HostsError> {
    let wanted = folders::wanted(&config.hosts_dir, &config.registries)
        .map_err(|e| config.folder_error(e))?;
    let mut files = Vec::new();
    let (wanted, hiding) = without_hiding(&config.hosts_dir, wanted);
    let wanted_files: BTreeSet<_> = wanted.iter().map(Wanted::file).collect();
    for file in ours(config, &backup)?.difference(&wanted_files) {
        files.extend(report(file, restore(file, &mut backup)));
    }
    for wanted in &wanted {
        let outcome = point_at_mirror(wanted, &config.mirror_url(), &mut backup);
        files.extend(report(&wanted.file(), outcome.map(Some)));
    }
    files.extend(hiding);
    backup.finish().map_err(|e| config.backup_error(e))?;
    Ok(Report { files })
}

/// What can be done of `wanted`, and a refusal for each folder that would hide `_default`. A file that we made
/// in such a folder, before `_default` was there, is not wanted any more.
fn without_hiding(hosts_dir: &Path, wanted: Vec<Wanted>) -> (Vec<Wanted>, Vec<FileReport>) {
    let (mut allowed, mut hiding) = (Vec::new(), Vec::new());
    for wanted in wanted {
        match folders::hides_nothing(hosts_dir, &wanted) {
            Ok(()) => allowed.push(wanted),
            Err(error) => hiding.extend(report(&wanted.file(), Err(error))),
        }
    }
    (allowed, hiding)
}

/// Takes the mirror out of every file, and leaves folders and files as they were before.
///
/// # Errors
/// When the folders cannot be used at all.
pub fn uninstall(config: &HostsConfig) -> Result<Report, HostsError> {
    let _lock = config.hosts_dir.exists().then(|| lock(config)).transpose()?;
    let mut backup = Backup::open(&config.data_dir);
    let mut files = Vec::new();
    if config.hosts_dir.exists() {
        for file in ours(config, &backup)? {
            files.extend(report(&file, restore(&file, &mut backup)));
        }
    }
    backup.remove_made_folders().map_err(|e| config.folder_error(e))?;
    backup.finish().map_err(|e| config.backup_error(e))?;
    Ok(Report { files })
}

/// Holds off other agents while it lives. The folder itself is locked, so no file is left behind.
fn lock(config: &HostsConfig) -> Result<File, HostsError> {
    let folder = File::open(&config.hosts_dir).map_err(|e| config.folder_error(e))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(HostsError::Busy(config.hosts_dir.clone())),
        Err(TryLockError::Error(error)) => Err(config.folder_error(error)),
    }
}

/// The files that onepull has changed: those it remembers and those that have its markers.
fn ours(config: &HostsConfig, backup: &Backup) -> Result<BTreeSet<PathBuf>, HostsError> {
    let found = folders::existing(&config.hosts_dir).map_err(|e| config.folder_error(e))?;
    let marked = found.into_iter().map(|folder| folder.join(FILE_NAME)).filter(|file| {
        let text = read_text(file).ok().flatten().unwrap_or_default();
        // A lone marker is ours too: it has to be reported.
        strip(&text).map_or(true, |stripped| stripped.made.is_some())
    });
    Ok(marked.chain(backup.files()).collect())
}

fn report(file: &Path, outcome: Result<Option<Outcome>, FileError>) -> Option<FileReport> {
    let outcome = outcome.unwrap_or_else(|error| Some(Outcome::Refused(error)))?;
    Some(FileReport { file: file.to_owned(), outcome })
}

/// Brings one file to where it should be.
fn point_at_mirror(
    wanted: &Wanted,
    mirror: &str,
    backup: &mut Backup,
) -> Result<Outcome, FileError> {
    let file = wanted.file();
    let current = read_text(&file)?;
    let stripped = current.as_deref().map(strip).transpose()?;
    let made = stripped.as_ref().and_then(|stripped| stripped.made);
    let base = match (&stripped, made) {
        (None, _) => None,
        (Some(s), Some(Made::File | Made::Folder)) if s.text.trim().is_empty() => None,
        (Some(s), _) => Some(s.text.as_str()),
    };
    let block = block_for(wanted, mirror, base)?;
    let to_make = match made {
        Some(made @ (Made::File | Made::Folder)) => made,
        _ if wanted.folder.exists() => Made::File,
        _ => Made::Folder,
    };
    let text = merge::insert(base, &block, to_make)?;
    if current.as_ref() == Some(&text) {
        return Ok(Outcome::Unchanged);
    }
    let original = base.map_or(Original::Missing, |text| Original::Bytes(text.into()));
    backup.keep(&file, &original, text.as_bytes()).map_err(FileError::Backup)?;
    if let Err(error) = write_into(&wanted.folder, &file, &text, backup) {
        // An empty folder would keep the registry from `_default`.
        let _ = to_make == Made::Folder && replace::remove_empty(&wanted.folder).is_ok();
        return Err(error);
    }
    Ok(if current.is_none() { Outcome::Created } else { Outcome::Merged })
}

fn write_into(
    folder: &Path,
    file: &Path,
    text: &str,
    backup: &mut Backup,
) -> Result<(), FileError> {
    backup.keep_folders(replace::missing_folders(folder)).map_err(FileError::Backup)?;
    replace::make_folder(folder).map_err(FileError::Write)?;
    replace::replace(file, text.as_bytes()).map_err(FileError::Write)
}

/// What the file has to say for us. Where no host is configured, containerd took the certificates
/// that lie in the folder, and the operator may have said that the registry speaks plain HTTP.
fn block_for(wanted: &Wanted, mirror: &str, base: Option<&str>) -> Result<Block, FileError> {
    let mut block =
        Block { mirror: mirror.into(), server: None, ca: Vec::new(), client: Vec::new() };
    // A text that does not parse is refused by the merge, with the reason.
    let Ok(says) = Meaning::of(base.unwrap_or_default()) else { return Ok(block) };
    if !says.hosts.is_empty() {
        return Ok(block);
    }
    let certificates = Certificates::among(&files_in(&wanted.folder).map_err(FileError::Read)?);
    if !says.has("ca") {
        block.ca = certificates.ca;
    }
    if !says.has("client") {
        block.client = certificates.client;
    }
    if !says.has("server") {
        block.server = wanted.registry.as_ref().and_then(Registry::plain_http_url);
    }
    Ok(block)
}

/// Takes one file back; `None` when there was nothing to take back.
fn restore(file: &Path, backup: &mut Backup) -> Result<Option<Outcome>, FileError> {
    let Some(current) = replace::read(file).map_err(FileError::Read)? else {
        backup.forget(file);
        return Ok(None);
    };
    let text = String::from_utf8(current).map_err(|_| FileError::NotText)?;
    let kept = backup.original(file, text.as_bytes());
    let (original, made) = match strip(&text) {
        Ok(stripped) => (from_markers(&stripped), stripped.made),
        Err(_) if kept.is_some() => (Original::Missing, None),
        Err(unbalanced) => return Err(unbalanced.into()),
    };
    let outcome = match kept.unwrap_or(original) {
        Original::Bytes(bytes) if bytes == text.as_bytes() => None,
        Original::Bytes(bytes) => {
            replace::replace(file, &bytes).map_err(FileError::Write)?;
            Some(Outcome::Restored)
        }
        Original::Missing => {
            replace::remove(file).map_err(FileError::Write)?;
            if let (Some(Made::Folder), Some(folder)) = (made, file.parent()) {
                replace::remove_empty(folder).map_err(FileError::Write)?;
            }
            Some(Outcome::Removed)
        }
    };
    backup.forget(file);
    Ok(outcome)
}

/// What the markers say the file was.
fn from_markers(stripped: &block::Stripped) -> Original {
    match stripped.made {
        Some(Made::File | Made::Folder) if stripped.text.trim().is_empty() => Original::Missing,
        _ => Original::Bytes(stripped.text.clone().into_bytes()),
    }
}

fn read_text(file: &Path) -> Result<Option<String>, FileError> {
    let bytes = replace::read(file).map_err(FileError::Read)?;
    bytes.map(String::from_utf8).transpose().map_err(|_| FileError::NotText)
}

/// Names of the files in a folder, links included; none where there is no folder.
fn files_in(folder: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}
