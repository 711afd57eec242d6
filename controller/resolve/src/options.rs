//! What the operator may say about registries.

use std::collections::BTreeSet;

use thiserror::Error;

/// Settings of a resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Registries (`HOST[:PORT]`) and token servers that are asked by plain HTTP. All others are
    /// asked by HTTPS, and nothing that came from HTTPS leads back to plain HTTP.
    pub plain_http: BTreeSet<String>,
    /// Authorities that are trusted beside those of the system, in PEM.
    pub ca_pem: Vec<u8>,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` count, as they do for the runtime.
    pub proxy_from_environment: bool,
}

/// Settings that cannot be used.
#[derive(Debug, Error)]
pub enum BadOptions {
    /// The file of authorities has no certificate, or something else in it.
    #[error("the CA file for registries has no certificates in PEM")]
    Authority,
    /// Neither the system nor the operator names an authority to trust.
    #[error("no certificate authority is known here: install ca-certificates or give a CA file")]
    NoAuthorities(#[source] rustls::Error),
    /// The HTTP client could not be made.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self { plain_http: BTreeSet::new(), ca_pem: Vec::new(), proxy_from_environment: true }
    }
}
