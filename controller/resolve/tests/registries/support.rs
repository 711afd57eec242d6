//! Registries with images in them, and resolvers for them.

use std::path::Path;

use onepull_resolve::{Credentials, ImageRef, Options, Platform, Problem, ResolveError, Resolver};
use onepull_testbed::{
    Layout, Registry, Requirement,
    layout::{Compression, Spec},
    registry::{self, Auth},
};
use serde_json::json;

/// What all tests with a real registry need.
pub(crate) const REGISTRY: [Requirement; 1] = [Requirement::Registry];

/// A registry with `team/app:v1`, an image for linux/amd64.
pub(crate) struct Filled {
    pub(crate) registry: Registry,
    pub(crate) image: Layout,
    folder: tempfile::TempDir,
}

// === impl Filled ===

impl Filled {
    pub(crate) async fn start(auth: Auth) -> Self {
        let options = registry::Options { auth, ..Default::default() };
        let registry = Registry::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let image = layout(&folder.path().join("v1"), 7);
        registry.push(&image, "team/app", "v1").await.unwrap();
        Self { registry, image, folder }
    }

    /// Pushes another image to the same repository.
    pub(crate) async fn push(&self, tag: &str, seed: u64) -> Layout {
        let image = layout(&self.folder.path().join(tag), seed);
        self.registry.push(&image, "team/app", tag).await.unwrap();
        image
    }

    pub(crate) fn name(&self, version: &str) -> ImageRef {
        format!("{}/team/app{version}", self.registry.name()).parse().unwrap()
    }

    pub(crate) fn resolver(&self) -> Resolver {
        resolver(&[&self.registry.name()])
    }
}

/// Two layers, one of them compressed as the registry sees it.
fn layout(folder: &Path, seed: u64) -> Layout {
    let spec = Spec { layers: vec![100_000, 5_000], seed, compression: Compression::Gzip };
    Layout::generate(folder, &spec).unwrap()
}

/// A resolver that asks these by plain HTTP, and whatever the machine's proxy is, not through it.
pub(crate) fn resolver(plain_http: &[&str]) -> Resolver {
    let plain_http = plain_http.iter().map(|host| (*host).to_owned()).collect();
    let options = Options { plain_http, proxy_from_environment: false, ..Default::default() };
    Resolver::new(options).unwrap()
}

/// The pull secrets `creds-0`, `creds-1` … with a login each, all for one registry.
pub(crate) fn secrets(registry: &str, logins: &[(&str, &str)]) -> Credentials {
    let mut credentials = Credentials::default();
    for (at, (user, password)) in logins.iter().enumerate() {
        let entry = json!({"username": user, "password": password});
        let json = json!({"auths": {registry: entry}}).to_string();
        credentials.add(&format!("creds-{at}"), json.as_bytes()).unwrap();
    }
    credentials
}

pub(crate) fn nobody() -> Credentials {
    Credentials::default()
}

pub(crate) fn amd64() -> Platform {
    Platform::new("linux", "amd64", None)
}

/// The problem, and that its sentence tells nothing that is secret.
pub(crate) fn problem(error: ResolveError) -> Problem {
    let said = format!("{error} {error:?}");
    assert!(!said.contains(registry::PASSWORD) && !said.contains("wrong-horse"), "{said}");
    error.problem().clone()
}
