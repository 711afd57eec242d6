//! Why there are no logins.

use hyper::StatusCode;
use thiserror::Error;

/// A refusal, in a sentence for the node's operator. It never says what secrets there are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("say POST {} with a bearer token", onepull_api::logins::PATH)]
    NotFound,
    #[error("a bearer token is missing: mount a service account token for this audience")]
    NoToken,
    #[error("the API server does not know this token as one for this audience")]
    BadToken,
    #[error("this is {0}, and not an agent")]
    NotAnAgent(String),
    #[error("the token is bound to no node: the agent's has to be that of its pod")]
    NoNode,
    #[error("the question cannot be read: {0}")]
    BadQuestion(String),
    #[error("node {node} is not told to pull {image} from its registry")]
    NotTold { node: String, image: String },
    #[error("the API server does not answer: {0}")]
    Unavailable(String),
    #[error("too many ask at once: ask again in a second")]
    Busy,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NoToken | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::NotAnAgent(_) | Self::NoNode | Self::NotTold { .. } => StatusCode::FORBIDDEN,
            Self::BadQuestion(_) => StatusCode::BAD_REQUEST,
            Self::Unavailable(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
