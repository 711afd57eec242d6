//! Asks registries what images stand for, with the logins of this node's plugins: for a controller that has
//! no login for them.

use std::path::PathBuf;

use onepull_api::{ImageAnswer, ImageQuestion, MAX_LOGINS, NodeReason, PlatformImage};
use onepull_resolve::{
    BadOptions, Credentials, ImageRef, Options, Platform, Problem, Resolved, Resolver,
};
use thiserror::Error;
use tracing::warn;

use super::{PluginFiles, Plugins, Registries};

/// Knows the plugins, and how to ask.
pub(crate) struct Lookup {
    plugins: Plugins,
    resolver: Resolver,
}

/// Why no registry can be asked.
#[derive(Debug, Error)]
pub(crate) enum LookupError {
    /// Their authorities cannot be read.
    #[error("cannot read --registry-ca {}: {said}", .path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        said: String,
    },
    /// What is in it makes no sense, or what else was given.
    #[error(transparent)]
    Options(#[from] BadOptions),
}

/// Why there is no answer: for machines, and in a sentence.
type Failure = (NodeReason, String);

// === impl Lookup ===

impl Lookup {
    /// Asks the registries as it is told.
    ///
    /// # Errors
    /// When that makes no sense, or their authorities cannot be read.
    pub(crate) fn new(plugins: PluginFiles, registries: Registries) -> Result<Self, LookupError> {
        let ca_pem = registries.ca.map(read).transpose()?.unwrap_or_default();
        let plain_http = registries.plain_http.into_iter().collect();
        let options = Options { plain_http, ca_pem, ..Options::default() };
        Ok(Self { plugins: Plugins::new(plugins), resolver: Resolver::new(options)? })
    }

    /// What the plugins are for, as in their configuration.
    pub(crate) async fn patterns(&self) -> Vec<String> {
        let patterns = self.plugins.patterns().await.unwrap_or_else(|problem| {
            warn!("nobody is told of this node's credential plugins: {problem}");
            Vec::new()
        });
        patterns.into_iter().take(MAX_LOGINS).collect()
    }

    /// Asks the image's registry; within some three minutes.
    pub(crate) async fn answer(&self, question: &ImageQuestion) -> ImageAnswer {
        let mut answer = ImageAnswer::to(question);
        match self.resolve(question).await {
            Ok(resolved) => {
                answer.digest = Some(resolved.digest.to_string());
                answer.images = images(&resolved);
            }
            Err((reason, message)) => {
                (answer.reason, answer.message) = (Some(reason), Some(message));
            }
        }
        answer
    }

    async fn resolve(&self, question: &ImageQuestion) -> Result<Resolved, Failure> {
        let image: ImageRef = question
            .name
            .parse()
            .map_err(|error| (NodeReason::ImageNotFound, format!("{error}")))?;
        let platforms: Vec<_> =
            question.platforms.iter().filter_map(|text| Platform::parse(text)).collect();
        let mut credentials = Credentials::default();
        let problem = self.plugins.ask(&image, &mut credentials).await.err();
        if credentials.matching(&image).is_empty() {
            let problem = problem.unwrap_or_else(|| "its plugins know no login for it".into());
            return Err((NodeReason::CredentialMissing, problem));
        }
        let resolved = self.resolver.resolve_for(&image, &credentials, &platforms).await;
        resolved.map_err(|error| (reason(error.problem()), error.to_string()))
    }
}

fn read(path: PathBuf) -> Result<Vec<u8>, LookupError> {
    let read = std::fs::read(&path);
    read.map_err(|error| LookupError::Ca { path, said: error.to_string() })
}

fn images(resolved: &Resolved) -> Vec<PlatformImage> {
    let image = |image: &onepull_resolve::PlatformImage| PlatformImage {
        platform: image.platform.to_string(),
        manifest: image.manifest.to_string(),
        compressed_bytes: image.compressed_bytes,
        disk_bytes: image.disk_bytes,
    };
    resolved.images.iter().map(image).collect()
}

fn reason(problem: &Problem) -> NodeReason {
    match problem {
        Problem::NotFound => NodeReason::ImageNotFound,
        Problem::CredentialMissing | Problem::CredentialRefused { .. } => {
            NodeReason::CredentialRefused
        }
        Problem::RateLimited { .. } => NodeReason::RateLimited,
        Problem::Unreachable { .. } | Problem::Failing { .. } => NodeReason::RegistryUnreachable,
        Problem::ContentMismatch { .. } => NodeReason::ContentMismatch,
        Problem::Unusable(_) | Problem::NotAnImage(_) | Problem::TooLarge { .. } => {
            NodeReason::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_that_are_missing_or_none_are_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        let refused = || {
            let plugins = PluginFiles { config: "config".into(), programs: "bin".into() };
            let registries = Registries { ca: Some(ca.clone()), ..Registries::default() };
            Lookup::new(plugins, registries).err().unwrap().to_string()
        };
        let missing = refused();
        assert!(missing.starts_with(&format!("cannot read --registry-ca {}", ca.display())));
        std::fs::write(&ca, "no certificate").unwrap();
        assert_ne!(refused(), missing);
    }
}
