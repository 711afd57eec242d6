//! The way from a name to its digest, within limits, with one pull secret after another.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use crate::{
    BadOptions, Credential, Credentials, ImageRef, Options, Platform, Problem, ResolveError,
    Resolved, Unreachable, session::Session, token::Tokens, transport::Transport, turns::Turns,
    walk::walk,
};

/// For one image, once it is its turn: a dozen answers within a second each, or a registry that
/// does not answer at all found out after a few of them.
const RESOLVE_LIMIT: Duration = Duration::from_secs(60);

/// For the turn: with 4 at once and a second each, some 500 images ahead; with a registry that
/// hangs, 8. Whoever waited in vain comes back later.
const TURN_LIMIT: Duration = Duration::from_secs(120);

/// Finds out what images' names stand for. One for the whole process: it bounds what each registry
/// is asked at once, and keeps tokens.
#[derive(Debug)]
pub struct Resolver {
    transport: Transport,
    tokens: Tokens,
    turns: Turns,
}

// === impl Resolver ===

impl Resolver {
    /// A resolver with these settings.
    ///
    /// # Errors
    /// When the CA file cannot be used, or no authority is known.
    pub fn new(options: Options) -> Result<Self, BadOptions> {
        let transport = Transport::new(options)?;
        Ok(Self { transport, tokens: Tokens::default(), turns: Turns::default() })
    }

    /// What `image` stands for, with the images for all its platforms.
    ///
    /// # Errors
    /// See [`Problem`]. Nothing is tried twice; see [`ResolveError::is_worth_retrying`].
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind but a token that may be used later.
    pub async fn resolve(
        &self,
        image: &ImageRef,
        credentials: &Credentials,
    ) -> Result<Resolved, ResolveError> {
        self.resolve_for(image, credentials, &[]).await
    }

    /// As [`Resolver::resolve`], with the images for nodes of these platforms only. Registries
    /// count each manifest that is fetched, so it is worth saying; a platform that has none is
    /// missing from the answer, which says what there is.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub async fn resolve_for(
        &self,
        image: &ImageRef,
        credentials: &Credentials,
        nodes: &[Platform],
    ) -> Result<Resolved, ResolveError> {
        let found = async {
            let _turn = within(TURN_LIMIT, self.turns.take(image.host())).await?;
            within(RESOLVE_LIMIT, self.attempts(image, credentials, nodes)).await?
        };
        let found = found.await.map_err(|problem| ResolveError::new(image, problem));
        match &found {
            Ok(resolved) => debug!(%image, digest = %resolved.digest, "resolved"),
            Err(error) => debug!(%image, %error, "not resolved"),
        }
        found
    }

    /// One login after the other until the registry gives the image, as the kubelet does; as
    /// nobody only without any.
    async fn attempts(
        &self,
        image: &ImageRef,
        credentials: &Credentials,
        nodes: &[Platform],
    ) -> Result<Resolved, Problem> {
        let matching = credentials.matching(image);
        if matching.is_empty() {
            return self.attempt(image, None, nodes).await;
        }
        let mut telling: Option<Problem> = None;
        for credential in matching {
            match self.attempt(image, Some(credential), nodes).await {
                Ok(resolved) => return Ok(resolved),
                Err(problem) if !is_about_the_login(&problem) => return Err(problem),
                Err(problem) => telling = Some(more_telling(telling, problem)),
            }
        }
        Err(telling.unwrap_or(Problem::CredentialMissing))
    }

    async fn attempt(
        &self,
        image: &ImageRef,
        credential: Option<&Credential>,
        nodes: &[Platform],
    ) -> Result<Resolved, Problem> {
        let mut session = Session::new(&self.transport, &self.tokens, image, credential);
        walk(&mut session, image, nodes).await
    }
}

/// Whether another login may fare better: some registries hide what a user may not see, and limits
/// are by user.
fn is_about_the_login(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::CredentialRefused { .. } | Problem::NotFound | Problem::RateLimited { .. }
    )
}

/// Of several failures: a limit passes, so it counts most; who was let in and found nothing knows
/// more than who was not let in.
fn more_telling(known: Option<Problem>, new: Problem) -> Problem {
    match (known, new) {
        (None, new) => new,
        (
            Some(Problem::CredentialRefused { mut sources }),
            Problem::CredentialRefused { sources: more },
        ) => {
            sources
                .extend(more.into_iter().filter(|one| !sources.contains(one)).collect::<Vec<_>>());
            Problem::CredentialRefused { sources }
        }
        (Some(limited @ Problem::RateLimited { .. }), _) => limited,
        (Some(found @ Problem::NotFound), Problem::CredentialRefused { .. }) => found,
        (Some(_), new) => new,
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Problem> {
    let late = |_| Problem::Unreachable { step: Unreachable::Timeout, said: String::new() };
    timeout(limit, work).await.map_err(late)
}
