//! Certificates that lie beside a `hosts.toml` in Docker's layout.
//!
//! containerd reads them only where there is no usable `hosts.toml` (`loadCertFiles` in its
//! `remotes/docker/config`). A file that onepull creates would switch them off, so it names them.

use std::collections::BTreeSet;

/// What a folder's file names mean in Docker's layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificates {
    /// `*.crt`: certificate authorities.
    pub(super) ca: Vec<String>,
    /// `*.cert` with its `*.key`; without one, the key is in the certificate's own file.
    pub(super) client: Vec<(String, String)>,
}

// === impl Certificates ===

impl Certificates {
    /// Sorts the names of the files in a folder.
    pub(super) fn among(names: &BTreeSet<String>) -> Self {
        let ca = names.iter().filter(|name| name.ends_with(".crt")).cloned().collect();
        let client = names
            .iter()
            .filter_map(|name| {
                let key = format!("{}.key", name.strip_suffix(".cert")?);
                let key = names.get(&key).unwrap_or(name);
                Some((name.clone(), key.clone()))
            })
            .collect();
        Self { ca, client }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_docker_does() {
        let names = ["ca.crt", "a.cert", "a.key", "b.cert", "c.key", "hosts.toml"];
        let found = Certificates::among(&names.map(str::to_owned).into());
        let pair = |cert: &str, key: &str| (cert.to_owned(), key.to_owned());
        assert_eq!(found.ca, ["ca.crt"]);
        assert_eq!(found.client, [pair("a.cert", "a.key"), pair("b.cert", "b.cert")]);
    }
}
