//! Whole-file reads and writes that no reader ever sees half done.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

/// The largest file that is read. A `hosts.toml` has some dozen lines; what is larger is something
/// else, and must not fill this node's memory.
const LARGEST: u64 = 1 << 20;

/// The name of the file that is written before it takes its place. It is fixed, so that what a
/// killed run left behind is found and removed by the next.
const UNFINISHED: &str = ".hosts.toml.onepull";

/// For files and folders that were not there: what containerd's packages use.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// A file's bytes; `None` when it is not there.
///
/// # Errors
/// When it cannot be read, is no regular file or is larger than any `hosts.toml`.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return missing(path),
        other => other?,
    };
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(Some(bytes))
}

fn missing(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(io::Error::other("it is a symbolic link to a file that does not exist")),
        Err(_) => Ok(None),
    }
}

/// Puts `bytes` at `path`: a new file, or in place of an old one, whose mode and owner they take
/// over. A symbolic link stays one; what it points to is replaced.
///
/// # Errors
/// What the file system said; `path` is as it was then.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = if path.exists() { fs::canonicalize(path)? } else { path.to_owned() };
    let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let unfinished = folder.join(UNFINISHED);
    let written = write_beside(&target, &unfinished, bytes);
    if written.is_err() {
        // Best effort: the error that matters is the one above.
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_beside(target: &Path, unfinished: &Path, bytes: &[u8]) -> io::Result<()> {
    remove_if_there(unfinished)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
    file.write_all(bytes)?;
    match fs::metadata(target) {
        Ok(old) => {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
            file.set_permissions(old.permissions())?;
        }
        Err(_) => file.set_permissions(Permissions::from_mode(FILE_MODE))?,
    }
    file.sync_all()?;
    fs::rename(unfinished, target)
}

/// Removes a file and what a killed run left beside it.
///
/// # Errors
/// What the file system said, but for a file that is not there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    remove_if_there(path)?;
    match path.parent() {
        Some(folder) => remove_if_there(&folder.join(UNFINISHED)),
        None => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The folders that have to be made for `path` to be one, outermost first.
pub(super) fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<_> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .map(Path::to_owned)
        .collect();
    missing.reverse();
    missing
}

/// Makes a folder and those above it.
///
/// # Errors
/// What the file system said.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Removes a folder unless somebody has put something into it.
///
/// # Errors
/// What the file system said, but for a folder that is not there or not empty.
pub(super) fn remove_empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.toml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        fs::write(folder.path().join(UNFINISHED), "of a killed run").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(names(folder.path()), ["hosts.toml"]);
    }

    #[test]
    fn a_link_stays_a_link_and_one_to_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        symlink("target", &link).unwrap();
        assert!(read(&link).unwrap_err().to_string().contains("symbolic link"));
        fs::write(&target, "old").unwrap();
        replace(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&target).unwrap().unwrap(), b"new");
    }

    #[test]
    fn what_is_no_small_regular_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&folder.path().join("none")).unwrap(), None);
        assert!(read(folder.path()).is_err());
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(read(&large).unwrap_err().to_string().contains("1 MiB"));
    }

    #[test]
    fn folders_that_were_missing_are_named_outermost_first() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("a/b"));
        assert_eq!(missing_folders(&b), [a, b.clone()]);
        make_folder(&b).unwrap();
        assert_eq!(missing_folders(&b), [] as [PathBuf; 0]);
    }
}
