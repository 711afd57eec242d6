//! What can come between a name and its digest, in sentences that say what to do.

use std::{fmt, time::Duration};

use thiserror::Error;

use crate::ImageRef;

/// One image could not be resolved. Says the image, the registry and what to do; never a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    image: String,
    registry: String,
    problem: Problem,
}

/// The kinds of it: a closed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The registry does not have it. Somebody may push it later.
    NotFound,
    /// The registry wants to know who asks, and no pull secret is for this image.
    CredentialMissing,
    /// The registry knows who asks and refuses.
    CredentialRefused {
        /// Where the logins that were tried are from: `secret NAME`.
        sources: Vec<String>,
    },
    /// Too many requests, or a registry that asks for patience.
    RateLimited {
        /// How long the registry wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// There was no answer.
    Unreachable {
        /// At which step.
        step: Unreachable,
        /// What the network said.
        said: String,
    },
    /// The registry has trouble of its own.
    Failing {
        /// The HTTP status.
        status: u16,
    },
    /// The registry does what no client can follow.
    Unusable(&'static str),
    /// What the name stands for cannot run: a chart, a signature, or a format of the past.
    NotAnImage(String),
    /// Bytes came that have another digest.
    ContentMismatch {
        /// What they should have.
        expected: String,
        /// What they have.
        found: String,
    },
    /// A manifest or configuration is beyond what any client takes.
    TooLarge {
        /// Bytes that would have been read.
        limit: usize,
    },
}

/// The step at which a registry could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreachable {
    /// Its name has no address.
    #[error("its name has no address")]
    Name,
    /// Nobody takes the connection.
    #[error("the connection failed")]
    Connect,
    /// Its certificate is not trusted, or it does not speak TLS.
    #[error("TLS failed")]
    Tls,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke in the middle.
    #[error("the connection broke")]
    Broken,
}

// === impl ResolveError ===

impl ResolveError {
    pub(crate) fn new(image: &ImageRef, problem: Problem) -> Self {
        Self { image: image.to_string(), registry: image.registry().to_owned(), problem }
    }

    /// What is the matter.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The image, in full.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The registry, `HOST[:PORT]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// How long the registry wants to be left alone, if it said so; a day at most.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.problem {
            Problem::RateLimited { retry_after } => retry_after,
            _ => None,
        }
    }

    /// Whether the same question may have another answer soon, although nobody changed anything.
    pub fn is_worth_retrying(&self) -> bool {
        match self.problem {
            Problem::RateLimited { .. }
            | Problem::Unreachable { .. }
            | Problem::Failing { .. }
            | Problem::ContentMismatch { .. } => true,
            Problem::NotFound
            | Problem::CredentialMissing
            | Problem::CredentialRefused { .. }
            | Problem::Unusable(_)
            | Problem::NotAnImage(_)
            | Problem::TooLarge { .. } => false,
        }
    }
}

impl std::error::Error for ResolveError {}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, registry, problem } = self;
        match problem {
            Problem::NotFound => {
                write!(f, "{registry} has no image {image}: check its name and tag")
            }
            Problem::CredentialMissing => write!(
                f,
                "{registry} does not give {image} to everybody, and no pull secret is for it: name \
                 one in imagePullSecrets, or check the image's name"
            ),
            Problem::CredentialRefused { sources } => write!(
                f,
                "{registry} refused {image} to the credential of {}: check its user, its password \
                 and whether it may pull that repository",
                sources.join(", ")
            ),
            Problem::RateLimited { retry_after } => limited(f, registry, image, *retry_after),
            Problem::Unreachable { step, said } => unreachable(f, registry, image, *step, said),
            Problem::Failing { status } => write!(
                f,
                "{registry} answered {status} when asked for {image}: it has trouble of its own"
            ),
            Problem::Unusable(what) => write!(f, "{registry}, asked for {image}, {what}"),
            Problem::NotAnImage(what) => {
                write!(f, "{image} of {registry} is nothing that a node can run: {what}")
            }
            Problem::ContentMismatch { expected, found } => write!(
                f,
                "{registry} sent bytes of digest {found} for {image} in place of {expected}: its \
                 storage or a proxy before it is broken"
            ),
            Problem::TooLarge { limit } => write!(
                f,
                "{registry} sent more than {limit} bytes for a manifest or configuration of \
                 {image}, which no runtime takes: rebuild the image with less in it"
            ),
        }
    }
}

fn limited(
    f: &mut fmt::Formatter<'_>,
    registry: &str,
    image: &str,
    retry_after: Option<Duration>,
) -> fmt::Result {
    write!(f, "{registry} limits how often it may be asked, and refused {image} for now")?;
    if let Some(wait) = retry_after {
        write!(f, "; it may be asked again in {} s", wait.as_secs())?;
    }
    write!(f, ": a pull secret of an account with a higher limit helps")
}

fn unreachable(
    f: &mut fmt::Formatter<'_>,
    registry: &str,
    image: &str,
    step: Unreachable,
    said: &str,
) -> fmt::Result {
    write!(f, "{registry} cannot be reached for {image}: {step}")?;
    if !said.is_empty() {
        write!(f, " ({said})")?;
    }
    f.write_str(match step {
        Unreachable::Name => "; check the registry's name and the cluster's DNS",
        Unreachable::Connect | Unreachable::Timeout | Unreachable::Broken => {
            "; check that it runs and that network policies and proxies let the controller ask it"
        }
        Unreachable::Tls => {
            "; give the controller the registry's CA, or list the registry as plain HTTP if it is"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(problem: Problem) -> ResolveError {
        ResolveError::new(&"r.example/team/app:v1".parse().unwrap(), problem)
    }

    fn all() -> Vec<Problem> {
        vec![
            Problem::NotFound,
            Problem::CredentialMissing,
            Problem::CredentialRefused { sources: vec!["secret a".into(), "plugin b".into()] },
            Problem::RateLimited { retry_after: Some(Duration::from_secs(30)) },
            Problem::Unreachable { step: Unreachable::Tls, said: "unknown issuer".into() },
            Problem::Failing { status: 502 },
            Problem::Unusable("redirects in a circle"),
            Problem::NotAnImage("it is a chart".into()),
            Problem::ContentMismatch { expected: "sha256:1".into(), found: "sha256:2".into() },
            Problem::TooLarge { limit: 4 << 20 },
        ]
    }

    #[test]
    fn each_sentence_names_the_image_and_the_registry() {
        for problem in all() {
            let said = error(problem).to_string();
            assert!(said.contains("r.example/team/app:v1"), "{said}");
            assert!(said.replace("r.example/team/app:v1", "").contains("r.example"), "{said}");
        }
    }

    #[test]
    fn a_refusal_names_the_logins_that_were_tried() {
        let said = error(Problem::CredentialRefused {
            sources: vec!["secret a".into(), "plugin b".into()],
        });
        assert_eq!(
            said.to_string(),
            "r.example refused r.example/team/app:v1 to the credential of secret a, plugin b: check its \
             user, its password and whether it may pull that repository",
        );
    }

    #[test]
    fn a_limit_says_when_to_come_back() {
        let limited = error(Problem::RateLimited { retry_after: Some(Duration::from_secs(30)) });
        assert_eq!(limited.retry_after(), Some(Duration::from_secs(30)));
        assert_eq!(
            limited.to_string(),
            "r.example limits how often it may be asked, and refused r.example/team/app:v1 for now; \
             it may be asked again in 30 s: a pull secret of an account with a higher limit helps",
        );
    }

    #[test]
    fn only_what_may_pass_by_itself_is_worth_retrying() {
        let retried: Vec<_> = all().into_iter().map(|one| error(one).is_worth_retrying()).collect();
        assert_eq!(retried, [false, false, false, true, true, true, false, false, true, false]);
    }
}
