//! The configuration file of the containerd behind a socket, found through its process.
//!
//! The kernel tells who listens on the socket; that process's command line names the file, and its
//! own view of the file system has it. From a container this works only with the host's process
//! ids; where it does not, the reason is the answer.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use tokio::{net::UnixStream, time::timeout};
use toml_edit::{Document, Item, TableLike};

use super::settings::Known;

const DEFAULT_FILE: &str = "/etc/containerd/config.toml";

/// Files that import each other are not followed forever.
const MOST_FILES: usize = 64;

/// The socket has answered a moment before.
const DEADLINE: Duration = Duration::from_secs(2);

/// What the files say about images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) config_path: Option<String>,
    /// Mirrors of the old form, which exclude `config_path`.
    pub(super) has_mirrors: bool,
    pub(super) discards_layers: bool,
}

/// One process's view of the file system.
struct View {
    root: PathBuf,
}

/// What the containerd that listens on `socket` was started with.
///
/// # Errors
/// Why its configuration cannot be seen, as half a sentence.
pub(super) async fn read(socket: &Path) -> Known<Found> {
    let connected = timeout(DEADLINE, UnixStream::connect(socket)).await;
    let stream = connected.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    let pid = stream.peer_cred().map_err(|e| e.to_string())?.pid().filter(|&pid| pid > 0);
    let pid = pid.ok_or("containerd's process is not visible from here")?;
    let process = PathBuf::from(format!("/proc/{pid}"));
    let command = fs::read(process.join("cmdline"))
        .map_err(|e| format!("containerd's command line cannot be read: {e}"))?;
    let folder = fs::read_link(process.join("cwd")).unwrap_or_else(|_| "/".into());
    let view = View { root: process.join("root") };
    let named = named_file(&String::from_utf8_lossy(&command));
    let file = folder.join(named.as_deref().unwrap_or(DEFAULT_FILE));
    if named.is_none() && !view.at(&file).exists() {
        return Ok(Found::default());
    }
    let mut found = Found::default();
    view.follow(&file, &mut Vec::new(), &mut found)?;
    Ok(found)
}

/// The file after `-c` or `--config`.
fn named_file(command: &str) -> Option<String> {
    let mut words = command.split('\0').skip(1);
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("-c" | "--c" | "-config" | "--config", file)) => return Some(file.to_owned()),
            None if matches!(word, "-c" | "--c" | "-config" | "--config") => {
                return words.next().map(str::to_owned);
            }
            _ => {}
        }
    }
    None
}

// === impl View ===

impl View {
    fn at(&self, path: &Path) -> PathBuf {
        let inside = path.components().filter(|part| matches!(part, Component::Normal(_)));
        self.root.join(inside.collect::<PathBuf>())
    }

    /// Reads a file and, after it, those that it imports: what comes later wins.
    fn follow(&self, file: &Path, seen: &mut Vec<PathBuf>, found: &mut Found) -> Known<()> {
        if seen.iter().any(|path| path == file) || seen.len() == MOST_FILES {
            return Ok(());
        }
        seen.push(file.to_owned());
        let text = fs::read_to_string(self.at(file))
            .map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
        let document = Document::parse(text)
            .map_err(|e| format!("{} is not valid TOML: {e}", file.display()))?;
        if let Some(settings) = of_document(document.as_table()) {
            *found = settings;
        }
        let imports = document.get("imports").and_then(Item::as_array).into_iter().flatten();
        for import in imports.filter_map(|import| import.as_str()) {
            let import = file.parent().unwrap_or(Path::new("/")).join(import);
            for file in self.matching(&import) {
                self.follow(&file, seen, found)?;
            }
        }
        Ok(())
    }

    /// The files that an import means; a `*` may stand in its last part.
    fn matching(&self, import: &Path) -> Vec<PathBuf> {
        let name = import.file_name().unwrap_or_default().to_string_lossy();
        let (Some((start, end)), Some(folder)) = (name.split_once('*'), import.parent()) else {
            return vec![import.to_owned()];
        };
        let entries = fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut files: Vec<_> = names
            .filter(|name| name.starts_with(start) && name.ends_with(end))
            .map(|name| folder.join(name))
            .collect();
        files.sort();
        files
    }
}

/// What one file says; a plugin's table in a later file replaces the earlier as a whole.
fn of_document(document: &dyn TableLike) -> Option<Found> {
    let version = document.get("version").and_then(Item::as_integer).unwrap_or(1);
    let plugins = document.get("plugins")?.as_table_like()?;
    let (plugin, layers) = match version {
        3.. => {
            let images = plugins.get("io.containerd.cri.v1.images")?;
            (images, images.get("discard_unpacked_layers"))
        }
        _ => {
            let cri = plugins.get("io.containerd.grpc.v1.cri").or_else(|| plugins.get("cri"))?;
            (cri, cri.get("containerd").and_then(|c| c.get("discard_unpacked_layers")))
        }
    };
    let registry = plugin.get("registry");
    let of_registry = |key: &str| registry.and_then(|registry| registry.get(key));
    let mirrors = of_registry("mirrors").and_then(Item::as_table_like);
    Some(Found {
        config_path: of_registry("config_path").and_then(Item::as_str).map(str::to_owned),
        has_mirrors: mirrors.is_some_and(|mirrors| !mirrors.is_empty()),
        discards_layers: layers.and_then(Item::as_bool).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Known<Found> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let view = View { root: root.path().to_owned() };
        let mut found = Found::default();
        view.follow(Path::new("/etc/containerd/config.toml"), &mut Vec::new(), &mut found)?;
        Ok(found)
    }

    #[test]
    fn both_forms_of_the_file_are_understood() {
        let expected =
            Found { config_path: Some("/x".into()), has_mirrors: false, discards_layers: true };
        let new = "version = 3\n[plugins.'io.containerd.cri.v1.images']\n\
                   discard_unpacked_layers = true\nregistry.config_path = '/x'\n";
        assert_eq!(found(&[("etc/containerd/config.toml", new)]), Ok(expected.clone()));
        let old = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n\
                   containerd.discard_unpacked_layers = true\nregistry.config_path = '/x'\n";
        assert_eq!(found(&[("etc/containerd/config.toml", old)]), Ok(expected));
    }

    #[test]
    fn imported_files_win_and_may_import_in_a_circle() {
        let first = "version = 3\nimports = ['conf.d/*.toml', 'config.toml']\n\
                     [plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/a'\n";
        let second = "version = 3\nimports = ['/etc/containerd/config.toml']\n\
                      [plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/b'\n";
        let files =
            [("etc/containerd/config.toml", first), ("etc/containerd/conf.d/1.toml", second)];
        assert_eq!(found(&files).unwrap().config_path.as_deref(), Some("/b"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_the_reason() {
        assert!(found(&[]).unwrap_err().contains("/etc/containerd/config.toml cannot be read"));
        let broken = found(&[("etc/containerd/config.toml", "[")]).unwrap_err();
        assert!(broken.contains("is not valid TOML"));
    }

    #[test]
    fn the_file_is_found_on_the_command_line() {
        let named = |words: &[&str]| named_file(&words.join("\0"));
        assert_eq!(named(&["containerd", "-l", "debug", "-c", "/x"]).as_deref(), Some("/x"));
        assert_eq!(named(&["containerd", "--config=/x", ""]).as_deref(), Some("/x"));
        assert_eq!(named(&["containerd"]), None);
    }
}
