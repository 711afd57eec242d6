//! Why there is no answer, in words that say what to do.

use thiserror::Error;

use super::words;

/// What says which cluster, and as whom.
const FLAGS: &str = "--context, --kubeconfig or KUBECONFIG";

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum AskError {
    /// There is no way to a cluster.
    #[error("no cluster is configured: {0}; say which with {FLAGS}")]
    Config(String),
    /// The API server does not answer.
    #[error(
        "no API server answers at {url}: {cause}; is the cluster up, and the right one? Choose another with {FLAGS}"
    )]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What came instead.
        cause: String,
    },
    /// The API server does not know who asks.
    #[error(
        "the API server at {url} does not accept your credential: {said}; log in again, or choose another with {FLAGS}"
    )]
    Unauthorized {
        /// Where it is.
        url: String,
        /// What it said.
        said: String,
    },
    /// A right is missing.
    #[error("you may not {right}: {said}; ask for a role with that right{instead}")]
    Forbidden {
        /// The right: `list imagecaches.onepull.dev in all namespaces`.
        right: String,
        /// What the API server said.
        said: String,
        /// What can be asked without it.
        instead: &'static str,
    },
    /// The definitions are not there.
    #[error(
        "the cluster knows no {0}: onepull is not installed there, or its definitions are not: \
         kubectl apply --server-side -f deploy/chart/crds"
    )]
    NotInstalled(String),
    /// There is no such object.
    #[error("there is no {kind} {name}{near}", near = meant(.near, .otherwise))]
    NoSuch {
        /// `image cache`, `node`.
        kind: &'static str,
        /// Its name, with its namespace.
        name: String,
        /// Names that may have been meant.
        near: Vec<String>,
        /// What to do where there is no such name.
        otherwise: &'static str,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Input(String),
    /// Something else went wrong.
    #[error("cannot {right}: {said}")]
    Other {
        /// What was asked.
        right: String,
        /// What came of it.
        said: String,
    },
}

/// What was asked of the API server.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Where it is.
    pub(crate) url: String,
    /// `get`, `list` or `watch`.
    pub(crate) verb: &'static str,
    /// `imagecaches.onepull.dev`.
    pub(crate) resource: String,
    /// In which namespace; `None` is all of them, or a resource that has none.
    pub(crate) namespace: Option<String>,
    /// Whether it is one that is in namespaces.
    pub(crate) namespaced: bool,
}

fn meant(near: &[String], otherwise: &str) -> String {
    match near {
        [] => format!("; {otherwise}"),
        near => format!("; did you mean {}?", words::names(near, near.len()).replace(", ", " or ")),
    }
}

// === impl Asked ===

impl Asked {
    /// An answer to this.
    pub(crate) async fn answer<T>(
        &self,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, AskError> {
        answer.await.map_err(|error| self.failed(error))
    }

    /// What an error of the API server, or of the way to it, means for who asked this.
    pub(crate) fn failed(&self, error: kube::Error) -> AskError {
        match error {
            kube::Error::Api(status) => self.refused(status.code, status.message),
            kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
                AskError::Unreachable { url: self.url.clone(), cause: last_cause(&error) }
            }
            kube::Error::Auth(_) => {
                AskError::Unauthorized { url: self.url.clone(), said: last_cause(&error) }
            }
            error => AskError::Other { right: self.right(), said: error.to_string() },
        }
    }

    fn refused(&self, code: u16, said: String) -> AskError {
        match code {
            401 => AskError::Unauthorized { url: self.url.clone(), said },
            403 => {
                let everywhere = self.namespaced && self.namespace.is_none();
                let instead = if everywhere { ", or ask about one namespace with -n" } else { "" };
                AskError::Forbidden { right: self.right(), said, instead }
            }
            // An object that is not there is no error here, so it is the path that is not there.
            404 => AskError::NotInstalled(self.resource.clone()),
            _ => AskError::Other { right: self.right(), said },
        }
    }

    fn right(&self) -> String {
        let Self { verb, resource, namespace, namespaced, .. } = self;
        match (namespaced, namespace) {
            (false, _) => format!("{verb} {resource}"),
            (true, None) => format!("{verb} {resource} in all namespaces"),
            (true, Some(namespace)) => format!("{verb} {resource} in namespace {namespace}"),
        }
    }
}

/// The end of a chain names the cause; what stands before says that something failed.
fn last_cause(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use kube::core::{Status, response::reason};

    use super::*;

    fn said(verb: &'static str, namespace: Option<&str>, code: u16, reason: &str) -> String {
        let asked = Asked {
            url: "https://k.example".into(),
            verb,
            resource: "imagecaches.onepull.dev".into(),
            namespace: namespace.map(Into::into),
            namespaced: true,
        };
        let status = Status::failure("no", reason).with_code(code);
        asked.failed(kube::Error::Api(status.boxed())).to_string()
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        assert_eq!(
            said("list", None, 403, reason::FORBIDDEN),
            "you may not list imagecaches.onepull.dev in all namespaces: no; ask for a role with that \
             right, or ask about one namespace with -n"
        );
        assert_eq!(
            said("get", Some("team"), 403, reason::FORBIDDEN),
            "you may not get imagecaches.onepull.dev in namespace team: no; ask for a role with that right"
        );
        assert!(said("list", None, 404, "").contains("onepull is not installed there"));
        assert!(said("list", None, 401, reason::UNAUTHORIZED).contains("log in again"));
        assert_eq!(
            said("list", Some("a"), 500, reason::INTERNAL_ERROR),
            "cannot list imagecaches.onepull.dev in namespace a: no"
        );
    }

    #[test]
    fn who_mistypes_a_name_is_told_those_that_are_near() {
        let no_such = |near: &[&str]| {
            let near = near.iter().map(ToString::to_string).collect();
            let (name, otherwise) = ("team/modles".into(), "see kubectl onepull status -A");
            AskError::NoSuch { kind: "image cache", name, near, otherwise }.to_string()
        };
        assert_eq!(
            no_such(&[]),
            "there is no image cache team/modles; see kubectl onepull status -A"
        );
        assert_eq!(
            no_such(&["team/models", "team/model"]),
            "there is no image cache team/modles; did you mean team/models or team/model?"
        );
    }
}
