//! How a seed's agent asks the controller for the logins of a pull: by HTTPS, as JSON.
//!
//! The agent finds the controllers in the EndpointSlices of the service [`SERVICE`], at the port named
//! [`PORT`], and trusts the authorities in the ConfigMap [`AUTHORITIES`], both in the namespace that onepull
//! is installed in. It says `POST` [`PATH`] with a token of its service account that is made for
//! [`AUDIENCE`] and bound to its pod, and a [`Question`]; the answer is [`Logins`], or a status other than 200 with a
//! sentence.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whom the token is for, so that nobody else can use it, and no other token is of use here.
pub const AUDIENCE: &str = "onepull.dev/controller";

/// The service in front of the controllers.
pub const SERVICE: &str = "onepull-controller";

/// The name of its port.
pub const PORT: &str = "logins";

/// The ConfigMap with the authorities that controllers' certificates are from: a PEM file for each
/// controller.
pub const AUTHORITIES: &str = "onepull-controller-authorities";

/// The service account of agents.
pub const AGENT_ACCOUNT: &str = "onepull-agent";

/// Where the question goes.
pub const PATH: &str = "/v1/logins";

/// Most bytes of a question.
pub const MAX_QUESTION: usize = 4096;

/// Most bytes of an answer: eight logins, each with a token of some kilobytes.
pub const MAX_ANSWER: usize = 256 * 1024;

/// The name in controllers' certificates, in a namespace.
pub fn server_name(namespace: &str) -> String {
    format!("{SERVICE}.{namespace}.svc")
}

/// What an agent asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// One of the image's names, as the node's NodeImageCache has it.
    pub image: String,
}

/// The logins to try for an image, in this order; none means to ask as nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Logins {
    /// At most eight.
    pub logins: Vec<Login>,
}

/// One login.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Login {
    /// By name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// By a token of an identity provider.
    IdentityToken {
        /// The token.
        token: String,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(redacted)",
            Self::IdentityToken { .. } => "IdentityToken(redacted)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_over_the_wire_and_not_into_a_log() {
        let login = Login::Password { user: "alice".into(), password: "hunter2".into() };
        let logins = Logins { logins: vec![login, Login::IdentityToken { token: "abc".into() }] };
        let json = serde_json::to_string(&logins).unwrap();
        let expected = r#"{"logins":[{"password":{"user":"alice","password":"hunter2"}},{"identityToken":{"token":"abc"}}]}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Logins>(&json).unwrap(), logins);
        assert_eq!(
            format!("{logins:?}"),
            "Logins { logins: [Password(redacted), IdentityToken(redacted)] }"
        );
    }
}
