//! The cluster key of nodes that are to speak TLS.
//!
//! It keeps nobody out: all of a load test is on one machine, and what is shared is made up.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use onepull_agent::cluster_key::ClusterKey;

/// A key like any other.
const KEY: &str = "6f1d8a3c5b7e9f02a4c6e8d0b2947f13358ac1ee07d94b26f80c61a57392be4d";

pub(crate) fn cluster_key() -> ClusterKey {
    ClusterKey::parse(KEY).expect("it is 64 digits of randomness")
}

/// Puts the key into a file in `folder`.
pub(crate) fn write(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join("cluster-key");
    fs::write(&path, KEY)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agents_read_is_what_embedded_nodes_have() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ClusterKey::read(&write(folder.path()).unwrap()).unwrap(), cluster_key());
    }
}
