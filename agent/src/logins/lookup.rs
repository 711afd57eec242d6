//! Asks registries what images stand for, with the logins of this node's plugins: for a controller that has
//! no login for them.

use onepull_api::{ImageAnswer, ImageQuestion, MAX_LOGINS, NodeReason, PlatformImage};
use onepull_resolve::{
    BadOptions, Credentials, ImageRef, Options, Platform, Problem, Resolved, Resolver,
};
use tracing::warn;

use super::{PluginFiles, Plugins};

/// Knows the plugins, and how to ask.
pub(crate) struct Lookup {
    plugins: Plugins,
    resolver: Resolver,
}

/// Why there is no answer: for machines, and in a sentence.
type Failure = (NodeReason, String);

// === impl Lookup ===

impl Lookup {
    /// Asks registries as `options` say.
    ///
    /// # Errors
    /// When these make no sense.
    pub(crate) fn new(plugins: PluginFiles, options: Options) -> Result<Self, BadOptions> {
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
