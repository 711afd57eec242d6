//! The configuration file of the containerd behind a socket, found through its process.
//!
//! That process's command line names the file, and its own view of the file system has it. Only
//! release 2 is read so, which merges what its files say; 1.x tells its settings through CRI.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toml_edit::{Document, Item, TableLike};

use super::{
    process::{Process, View},
    settings::Known,
};

const DEFAULT_FILE: &str = "/etc/containerd/config.toml";

/// Files that import each other are not followed forever.
const MOST_FILES: usize = 64;

/// Where it is not set; another number has containerd pull by itself.
const DOWNLOADS: i64 = 3;

/// What the files say about images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) config_path: Option<String>,
    /// Mirrors of the old form, which exclude `config_path`.
    pub(super) has_mirrors: bool,
    pub(super) discards_layers: Option<bool>,
    /// Something else than that keeps pulls from the transfer service.
    pub(super) pulls_itself: bool,
}

/// What the containerd that is `process` was started with.
///
/// # Errors
/// Why its configuration cannot be seen, as half a sentence.
pub(super) fn read(process: &Process) -> Known<Found> {
    let named = named_file(&process.command_line()?);
    let file = process.works_in().join(named.as_deref().unwrap_or(DEFAULT_FILE));
    let view = process.view();
    let mut found = Found::default();
    if named.is_some() || view.at(&file).exists() {
        view.follow(&file, &mut Vec::new(), &mut found)?;
    }
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
        if let Some(later) = of_document(document.as_table()) {
            found.merge(later);
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

// === impl Found ===

impl Found {
    fn merge(&mut self, later: Self) {
        self.config_path = later.config_path.or(self.config_path.take());
        self.discards_layers = later.discards_layers.or(self.discards_layers);
        self.has_mirrors |= later.has_mirrors;
        self.pulls_itself |= later.pulls_itself;
    }
}

/// What one file says.
fn of_document(document: &dyn TableLike) -> Option<Found> {
    let version = document.get("version").and_then(Item::as_integer).unwrap_or(1);
    let plugins = document.get("plugins")?.as_table_like()?;
    let (plugin, layers) = match version {
        3.. => {
            let images = plugins.get("io.containerd.cri.v1.images")?;
            (images, Some(images))
        }
        _ => {
            let cri = plugins.get("io.containerd.grpc.v1.cri").or_else(|| plugins.get("cri"))?;
            (cri, cri.get("containerd"))
        }
    };
    let of_registry = |key: &str| plugin.get("registry").and_then(|registry| registry.get(key));
    let of_layers = |key: &str| layers.and_then(|layers| layers.get(key)).and_then(Item::as_bool);
    let has = |key: &str| {
        of_registry(key).and_then(Item::as_table_like).is_some_and(|table| !table.is_empty())
    };
    let is_on = |key: &str| plugin.get(key).and_then(Item::as_bool) == Some(true);
    let downloads = plugin.get("max_concurrent_downloads").and_then(Item::as_integer);
    Some(Found {
        config_path: of_registry("config_path").and_then(Item::as_str).map(str::to_owned),
        has_mirrors: has("mirrors"),
        discards_layers: of_layers("discard_unpacked_layers"),
        pulls_itself: ["mirrors", "configs", "auths"].into_iter().any(has)
            || ["use_local_image_pull", "image_pull_with_sync_fs"].into_iter().any(is_on)
            || of_layers("disable_snapshot_annotations") == Some(false)
            || downloads.is_some_and(|downloads| downloads != DOWNLOADS),
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
        let expected = Found {
            config_path: Some("/x".into()),
            discards_layers: Some(true),
            ..Found::default()
        };
        let new = "version = 3\n[plugins.'io.containerd.cri.v1.images']\n\
                   discard_unpacked_layers = true\nregistry.config_path = '/x'\n";
        assert_eq!(found(&[("etc/containerd/config.toml", new)]), Ok(expected.clone()));
        let old = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n\
                   containerd.discard_unpacked_layers = true\nregistry.config_path = '/x'\n";
        assert_eq!(found(&[("etc/containerd/config.toml", old)]), Ok(expected));
    }

    #[test]
    fn what_keeps_pulls_from_the_transfer_service_is_understood() {
        let of = |line: &str| {
            let text = format!("version = 3\n[plugins.'io.containerd.cri.v1.images']\n{line}\n");
            found(&[("etc/containerd/config.toml", &text)]).unwrap()
        };
        for line in [
            "use_local_image_pull = true",
            "image_pull_with_sync_fs = true",
            "disable_snapshot_annotations = false",
            "max_concurrent_downloads = 5",
            "registry.configs.'r.example'.auth.username = 'x'",
        ] {
            assert_eq!(of(line), Found { pulls_itself: true, ..Found::default() }, "{line}");
        }
        let mirrors = of("registry.mirrors.'r.example'.endpoint = ['https://m.example']");
        assert!(mirrors.has_mirrors && mirrors.pulls_itself, "{mirrors:?}");
        for line in ["use_local_image_pull = false", "max_concurrent_downloads = 3"] {
            assert_eq!(of(line), Found::default(), "{line}");
        }
    }

    #[test]
    fn imported_files_add_to_the_first_and_win_and_may_import_in_a_circle() {
        let first = "version = 3\nimports = ['conf.d/*.toml', 'config.toml']\n\
                     [plugins.'io.containerd.cri.v1.images']\ndiscard_unpacked_layers = true\n\
                     registry.config_path = '/a'\n";
        let second = "version = 3\nimports = ['/etc/containerd/config.toml']\n\
                      [plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/b'\n";
        let files =
            [("etc/containerd/config.toml", first), ("etc/containerd/conf.d/1.toml", second)];
        let found = found(&files).unwrap();
        assert_eq!(found.config_path.as_deref(), Some("/b"));
        assert_eq!(found.discards_layers, Some(true), "the second file does not speak of it");
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
