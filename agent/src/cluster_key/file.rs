//! The file that a cluster key is in.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{ClusterKey, ParseError};

/// How to make a key.
const MAKE: &str = "make one with: openssl rand -hex 32";

/// Bytes of the file that are read: room for a few keys. A key file that goes on is none.
const LARGEST: u64 = 4096;

/// Anybody on the node.
const OTHERS_READ: u32 = 0o004;

/// Why there is no cluster key.
#[derive(Debug, Error)]
pub enum ClusterKeyError {
    /// The file cannot be read.
    #[error("cannot read the cluster key file {path} (--cluster-key-file)")]
    Read {
        /// The file.
        path: PathBuf,
        #[source]
        #[doc(hidden)]
        source: io::Error,
    },
    /// There is something else in it.
    #[error("the cluster key file {path} {why}; {MAKE}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: ParseError,
    },
}

// === impl ClusterKey ===

impl ClusterKey {
    /// Reads the key from its file.
    ///
    /// # Errors
    /// When it cannot be read or holds no key; says how to make one.
    pub fn read(path: &Path) -> Result<Self, ClusterKeyError> {
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut text));
        read.map_err(|source| ClusterKeyError::Read { path: path.into(), source })?;
        Self::parse(&String::from_utf8_lossy(&text))
            .map_err(|why| ClusterKeyError::Invalid { path: path.into(), why })
    }
}

/// Whether every user of this node can read the file.
///
/// # Errors
/// When it is not there.
pub fn is_open_to_all(path: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(path)?.permissions().mode() & OTHERS_READ != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::*;

    #[test]
    fn a_bad_file_is_named_and_the_way_to_a_good_one_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let error = ClusterKey::read(&path).unwrap_err();
        assert!(matches!(error, ClusterKeyError::Read { .. }), "{error}");
        write(&path, "change-me\n").unwrap();
        let said = ClusterKey::read(&path).unwrap_err().to_string();
        let expected = "holds no key: a key is 64 hexadecimal digits, or 32 bytes in base64; make \
                        one with: openssl rand -hex 32";
        assert!(said.ends_with(expected), "{said}");
        assert!(said.contains(&path.display().to_string()), "{said}");
    }

    #[test]
    fn a_file_without_an_end_is_not_read_to_its_end() {
        let error = ClusterKey::read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, ClusterKeyError::Invalid { .. }), "{error}");
    }

    #[test]
    fn who_may_read_the_file_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, open) in [(0o400, false), (0o640, false), (0o644, true)] {
            set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_all(file.path()).unwrap(), open, "{mode:o}");
        }
    }
}
