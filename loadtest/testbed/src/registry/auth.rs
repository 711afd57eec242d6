//! Who may use a registry.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The user that pushes, and that a registry with [`Auth::Basic`] knows.
pub const USER: &str = "testbed";

/// The password of [`USER`].
pub const PASSWORD: &str = "correct-horse";

/// bcrypt, the only hash that docker-registry takes, at its lowest cost.
const PASSWORD_HASH: &str = "$2b$04$abcdefghijklmnopqrstuuPoaPXzWjiVz4HaNq2LJXksWbO79E.S6";

/// How a registry finds out who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// It does not.
    #[default]
    Open,
    /// [`USER`] with [`PASSWORD`], by HTTP Basic; nobody else.
    Basic,
    /// Whoever has a token of a token server. It has to let [`USER`] push.
    Token {
        /// The token server's address.
        realm: String,
        /// The name by which it knows the registry; also that of who issues tokens.
        service: String,
        /// A file with the certificate, in PEM, that tokens are signed by.
        certificate: PathBuf,
    },
}

// === impl Auth ===

impl Auth {
    /// Its part of the configuration; files that it needs go to `folder`.
    pub(super) fn render(&self, folder: &Path) -> Result<String> {
        Ok(match self {
            Self::Open => String::new(),
            Self::Basic => {
                let users = folder.join("htpasswd");
                fs::write(&users, format!("{USER}:{PASSWORD_HASH}\n"))
                    .context("cannot write the registry's users")?;
                format!("auth:\n  htpasswd:\n    realm: testbed\n    path: {users:?}\n")
            }
            Self::Token { realm, service, certificate } => format!(
                "auth:\n  token:\n    realm: {realm:?}\n    service: {service:?}\n    \
                 issuer: {service:?}\n    rootcertbundle: {certificate:?}\n",
            ),
        })
    }
}
