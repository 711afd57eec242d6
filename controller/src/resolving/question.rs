//! One question to a registry, with the cache's pull secrets.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use kube::Client;
use onepull_resolve::{
    Credentials, ImageRef as Reference, Problem, ResolveError, Resolved, Resolver,
};

use super::answer;
use crate::{
    planner::{ImageRef, Platform, Trouble, TroubleKind},
    pull_secrets,
};

/// What to ask.
pub(super) struct Question {
    /// In full; with a digest where the answer has to be that one.
    pub(super) image: ImageRef,
    /// For nodes that run these.
    pub(super) platforms: BTreeSet<Platform>,
    /// Where the secrets are.
    pub(super) namespace: String,
    /// Their names.
    pub(super) secrets: Vec<String>,
}

/// What became of a question.
pub(super) type Asked = Result<Resolved, Failure>;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) trouble: Trouble,
    /// How long the registry wants to be left alone.
    pub(super) wait: Option<SignedDuration>,
}

// === impl Question ===

impl Question {
    /// Asks; within the resolver's own limits.
    pub(super) async fn ask(&self, client: &Client, resolver: &Resolver) -> Asked {
        let reference: Reference = self
            .image
            .as_str()
            .parse()
            .map_err(|error| Failure::new(TroubleKind::ImageNotFound, &format!("{error}")))?;
        let credentials = self.credentials(client).await?;
        let platforms: Vec<_> = self.platforms.iter().filter_map(answer::runs).collect();
        let answer = resolver.resolve_for(&reference, &credentials, &platforms).await;
        answer.map_err(|error| Failure::from(&error))
    }

    async fn credentials(&self, client: &Client) -> Result<Credentials, Failure> {
        let mut credentials = Credentials::default();
        for name in &self.secrets {
            let read = pull_secrets::read(client, &self.namespace, name, &mut credentials).await;
            read.map_err(|said| Failure::new(TroubleKind::CredentialMissing, &said))?;
        }
        Ok(credentials)
    }
}

// === impl Failure ===

impl Failure {
    pub(super) fn new(kind: TroubleKind, message: &str) -> Self {
        Self { trouble: Trouble::new(kind, message), wait: None }
    }

    /// Whether the registry lets only those in whom it knows: a node may have a login that it knows.
    pub(super) fn is_refusal(&self) -> bool {
        self.trouble.kind == TroubleKind::CredentialRefused
    }
}

impl From<&ResolveError> for Failure {
    fn from(error: &ResolveError) -> Self {
        let wait = error.retry_after().and_then(|wait| SignedDuration::try_from(wait).ok());
        Self { trouble: Trouble::new(kind(error.problem()), &error.to_string()), wait }
    }
}

fn kind(problem: &Problem) -> TroubleKind {
    match problem {
        Problem::NotFound => TroubleKind::ImageNotFound,
        Problem::CredentialMissing | Problem::CredentialRefused { .. } => {
            TroubleKind::CredentialRefused
        }
        Problem::RateLimited { .. } => TroubleKind::RateLimited,
        Problem::Unreachable { .. } | Problem::Failing { .. } => TroubleKind::RegistryUnreachable,
        Problem::ContentMismatch { .. } => TroubleKind::ContentMismatch,
        Problem::Unusable(_) | Problem::NotAnImage(_) | Problem::TooLarge { .. } => {
            TroubleKind::Unknown
        }
    }
}
