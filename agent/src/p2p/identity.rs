//! The key that names this node in the DHT, kept in a file so that a restarted agent stays itself.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use libp2p::identity::{DecodingError, Keypair};
use thiserror::Error;

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The key file cannot be read.
    #[error("cannot read the identity file {path}")]
    Read {
        /// The key file.
        path: PathBuf,
        #[source]
        #[doc(hidden)]
        source: io::Error,
    },
    /// The key file cannot be created.
    #[error("cannot create the identity file {path}: its folder must exist and be writable")]
    Create {
        /// The key file.
        path: PathBuf,
        #[source]
        #[doc(hidden)]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} is not an identity file: remove it, and a new identity is made")]
    Invalid {
        /// The key file.
        path: PathBuf,
        #[source]
        #[doc(hidden)]
        source: DecodingError,
    },
}

/// Reads the key at `path`, or makes one there that only its owner can read.
///
/// # Errors
/// The file cannot be read or created, or holds no key.
pub(super) fn load_or_create(path: &Path) -> Result<Keypair, IdentityError> {
    match fs::read(path) {
        Ok(bytes) => Keypair::from_protobuf_encoding(&bytes)
            .map_err(|source| IdentityError::Invalid { path: path.into(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        Err(source) => Err(IdentityError::Read { path: path.into(), source }),
    }
}

fn create(path: &Path) -> Result<Keypair, IdentityError> {
    let keypair = Keypair::generate_ed25519();
    let bytes = keypair
        .to_protobuf_encoding()
        .map_err(|source| IdentityError::Invalid { path: path.into(), source })?;
    write(path, &bytes).map_err(|source| IdentityError::Create { path: path.into(), source })?;
    Ok(keypair)
}

/// Under a name of its own first: an agent killed here must not find half a key at its next start.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let first = load_or_create(&path).unwrap().public();
        assert_eq!(load_or_create(&path).unwrap().public(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_file_that_is_no_key_is_kept_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        fs::write(&path, "not a key").unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("is not an identity file: remove it"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
    }

    #[test]
    fn a_missing_folder_is_an_error_that_says_so() {
        let error = load_or_create(Path::new("/nonexistent/identity")).unwrap_err();
        assert!(matches!(error, IdentityError::Create { .. }), "{error}");
    }
}
