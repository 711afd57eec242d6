//! Who a client of the API server is, and the kubeconfig that says so.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::pki::Pair;

/// What a client shows to the API server.
#[derive(Clone, Debug)]
pub struct Credential(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Certificate(Pair),
    Token(String),
}

// === impl Credential ===

impl Credential {
    /// A bearer token, for example one of a service account.
    pub fn token(token: impl Into<String>) -> Self {
        Self(Kind::Token(token.into()))
    }

    pub(super) fn certificate(pair: Pair) -> Self {
        Self(Kind::Certificate(pair))
    }

    fn user(&self) -> Value {
        match &self.0 {
            Kind::Token(token) => json!({ "token": token }),
            Kind::Certificate(pair) => {
                json!({ "client-certificate": pair.certificate, "client-key": pair.key })
            }
        }
    }
}

/// Writes a kubeconfig for one server and one user; JSON is YAML too.
pub(super) fn write_kubeconfig(
    file: &Path,
    url: &str,
    authority: &Path,
    credential: &Credential,
) -> Result<()> {
    const NAME: &str = "testbed";
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "clusters": [
            { "name": NAME, "cluster": { "server": url, "certificate-authority": authority } }
        ],
        "users": [{ "name": NAME, "user": credential.user() }],
        "contexts": [
            { "name": NAME, "context": { "cluster": NAME, "user": NAME, "namespace": "default" } }
        ],
    });
    fs::write(file, serde_json::to_string_pretty(&config)?).context("cannot write a kubeconfig")
}
