//! Which folders below certs.d decide where containerd goes for which registry.
//!
//! containerd takes the first that exists of `host_port_`, `host:port` and `_default`, and then
//! looks nowhere else: a folder of its own, even an empty one, keeps a registry from `_default`.
//! So the mirror has to be named in each of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    FILE_NAME, FileError, Registry,
    block::{Made, strip},
    certificates::Certificates,
    files_in,
    meaning::Meaning,
    registry::is_folder_name,
    replace,
};

const DEFAULT: &str = "_default";

/// A folder whose `hosts.toml` should name the mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) folder: PathBuf,
    /// The registry as the operator named it; `None` for `_default` and folders that were found.
    pub(super) registry: Option<Registry>,
}

// === impl Wanted ===

impl Wanted {
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(FILE_NAME)
    }
}

/// The folders that must name the mirror: those of `registries`, or, when none is given,
/// `_default` and every folder that would keep a registry from it.
///
/// # Errors
/// When `hosts_dir` is there but cannot be listed.
pub(super) fn wanted(hosts_dir: &Path, registries: &[Registry]) -> io::Result<Vec<Wanted>> {
    if !registries.is_empty() {
        return Ok(registries.iter().map(|registry| of_registry(hosts_dir, registry)).collect());
    }
    let found = existing(hosts_dir)?.into_iter().filter(|folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        is_folder_name(&name) && !is_ours_alone(folder)
    });
    let all = [hosts_dir.join(DEFAULT)].into_iter().chain(found);
    Ok(all.map(|folder| Wanted { folder, registry: None }).collect())
}

/// The folder that containerd would take for a registry, or the one to make.
fn of_registry(hosts_dir: &Path, registry: &Registry) -> Wanted {
    let names = registry.folder_names();
    let name = names.iter().find(|name| hosts_dir.join(name).exists()).or(names.last());
    let folder = hosts_dir.join(name.map_or(registry.authority(), String::as_str));
    Wanted { folder, registry: Some(registry.clone()) }
}

/// Refuses a folder that is not there yet and would keep its registry from what somebody wrote into
/// `_default`. Where the folder is there already, that is what somebody wanted.
///
/// # Errors
/// [`FileError::HidesDefault`], which says what to do.
pub(super) fn hides_nothing(hosts_dir: &Path, wanted: &Wanted) -> Result<(), FileError> {
    let default = hosts_dir.join(DEFAULT);
    let is_new = !wanted.folder.exists() || is_ours_alone(&wanted.folder);
    match wanted.registry.is_some() && is_new && says_something(&default) {
        true => Err(FileError::HidesDefault { default, folder: wanted.folder.clone() }),
        false => Ok(()),
    }
}

/// Whether containerd takes anything from a folder but our lines.
fn says_something(folder: &Path) -> bool {
    let text = replace::read(&folder.join(FILE_NAME)).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let text = strip(&text).map_or(text.to_string(), |stripped| stripped.text);
    // What cannot be read now may be mended later.
    let says = Meaning::of(&text).map_or(true, |says| !says.is_empty());
    let files = files_in(folder).unwrap_or_default();
    says || Certificates::among(&files) != Certificates::default()
}

/// Whether onepull made the folder, for a registry that the operator named back then.
fn is_ours_alone(folder: &Path) -> bool {
    let text = replace::read(&folder.join(FILE_NAME)).ok().flatten();
    let stripped = text.and_then(|text| strip(std::str::from_utf8(&text).ok()?).ok());
    stripped.is_some_and(|s| s.made == Some(Made::Folder) && s.text.trim().is_empty())
}

/// Every folder directly below `hosts_dir`, links to folders included, in order of name.
///
/// # Errors
/// When `hosts_dir` is there but cannot be listed.
pub(super) fn existing(hosts_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(hosts_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(wanted: &[Wanted]) -> Vec<&str> {
        wanted.iter().map(|w| w.folder.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn without_registries_every_folder_that_hides_the_default_is_wanted() {
        let root = tempfile::tempdir().unwrap();
        for name in ["ghcr.io", "reg_5000_", "..data", "lost+found"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("a-file"), "").unwrap();
        symlink("ghcr.io", root.path().join("quay.io")).unwrap();
        let found = wanted(root.path(), &[]).unwrap();
        assert_eq!(names(&found), ["_default", "ghcr.io", "quay.io", "reg_5000_"]);
    }

    #[test]
    fn a_registry_s_folder_is_the_one_that_containerd_would_take() {
        let root = tempfile::tempdir().unwrap();
        let registry: Registry = "reg:5000".parse().unwrap();
        let folder = |root: &Path| {
            names(&wanted(root, std::slice::from_ref(&registry)).unwrap())[0].to_owned()
        };
        assert_eq!(folder(root.path()), "reg:5000");
        fs::create_dir(root.path().join("reg_5000_")).unwrap();
        assert_eq!(folder(root.path()), "reg_5000_");
    }

    #[test]
    fn a_missing_root_has_no_folders() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(names(&wanted(&root.path().join("none"), &[]).unwrap()), ["_default"]);
    }
}
