//! `kubernetes.io/dockerconfigjson`: what Docker writes after a login.
//!
//! It is walked by hand, since a parser's own messages quote what they find: an error here names
//! the field and says nothing of what is in it.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::SecretString;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::credentials::Login;

/// With or without padding, as the kubelet takes it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Logins that are taken from one secret: a Secret has 1 MiB at most, a login 100 bytes at least.
const MOST: usize = 10_000;

/// A pull secret that cannot be read. Names the secret and the field, never its content.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSecret {
    /// It is not JSON at all.
    #[error("secret {secret}: .dockerconfigjson is no JSON (line {line}, column {column})")]
    Json {
        /// The secret's name.
        secret: String,
        /// Where the mistake is.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A field is not what it has to be.
    #[error("secret {secret}: {field} of .dockerconfigjson {problem}")]
    Field {
        /// The secret's name.
        secret: String,
        /// The field, for example `auths["registry.example.com"].auth`.
        field: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The logins in a secret, with the registry that each is for.
pub(crate) fn parse(secret: &str, bytes: &[u8]) -> Result<Vec<(String, Login)>, BadSecret> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| BadSecret::Json {
        secret: secret.to_owned(),
        line: error.line(),
        column: error.column(),
    })?;
    let bad = |(field, problem)| BadSecret::Field { secret: secret.to_owned(), field, problem };
    logins(&value).map_err(bad)
}

type Bad = (String, &'static str);

fn logins(value: &Value) -> Result<Vec<(String, Login)>, Bad> {
    let auths = value.get("auths").ok_or_else(|| ("auths".to_owned(), "is missing"))?;
    let auths = auths.as_object().ok_or_else(|| ("auths".to_owned(), "is no object"))?;
    if auths.len() > MOST {
        return Err(("auths".to_owned(), "has more than 10000 entries"));
    }
    let mut all = Vec::new();
    for (registry, entry) in auths {
        let field = format!("auths[{registry:?}]");
        let entry = entry.as_object().ok_or_else(|| (field.clone(), "is no object"))?;
        all.extend(login(&field, entry)?.map(|login| (registry.clone(), login)));
    }
    Ok(all)
}

/// `auth` counts more than `username` and `password`; an entry without any is a logout.
fn login(field: &str, entry: &Map<String, Value>) -> Result<Option<Login>, Bad> {
    let text = |name: &str| match entry.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err((format!("{field}.{name}"), "is no string")),
    };
    let token = text("identitytoken")?;
    if !token.is_empty() {
        return Ok(Some(Login::IdentityToken(token.into())));
    }
    let (user, password) = match text("auth")? {
        "" => (text("username")?.to_owned(), text("password")?.to_owned()),
        auth => decode(auth).map_err(|problem| (format!("{field}.auth"), problem))?,
    };
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    Ok(Some(Login::Password { user: user.into(), password: SecretString::from(password) }))
}

fn decode(auth: &str) -> Result<(String, String), &'static str> {
    let bytes = BASE64.decode(auth.trim()).map_err(|_| "is no base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 in base64")?;
    let (user, password) = text.split_once(':').ok_or("is not USER:PASSWORD in base64")?;
    Ok((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn shown(json: &str) -> Result<Vec<String>, String> {
        let show = |(registry, login)| match login {
            Login::Password { user, password } => {
                format!("{registry} {}:{}", user.expose_secret(), password.expose_secret())
            }
            Login::IdentityToken(token) => format!("{registry} token {}", token.expose_secret()),
        };
        let logins = parse("registry-creds", json.as_bytes()).map_err(|error| error.to_string())?;
        Ok(logins.into_iter().map(show).collect())
    }

    #[test]
    fn each_way_to_write_a_login_is_read() {
        for (entry, expected) in [
            (r#"{"auth":"dXNlcjpwYXNz"}"#, Some("user:pass")),
            (r#"{"auth":"dTpwOnE="}"#, Some("u:p:q")),
            (r#"{"auth":"dTpwOnE"}"#, Some("u:p:q")),
            (r#"{"username":"user","password":"pass","email":"a@b"}"#, Some("user:pass")),
            (r#"{"username":"x","password":"y","auth":"dXNlcjpwYXNz"}"#, Some("user:pass")),
            (r#"{"auth":"dXNlcjo=","identitytoken":"abc"}"#, Some("token abc")),
            (r#"{"identitytoken":null,"auth":"dXNlcjpwYXNz"}"#, Some("user:pass")),
            (r#"{}"#, None),
            (r#"{"auth":"","password":""}"#, None),
        ] {
            let json = format!(r#"{{"auths":{{"r.example":{entry}}},"credsStore":"x"}}"#);
            let expected = expected.map(|login| format!("r.example {login}")).into_iter().collect();
            assert_eq!(shown(&json), Ok(expected), "{entry}");
        }
    }

    #[test]
    fn a_mistake_names_the_field_and_not_what_is_in_it() {
        for (json, expected) in [
            ("hunter2", ".dockerconfigjson is no JSON (line 1, column 1)"),
            (r#""hunter2""#, "auths of .dockerconfigjson is missing"),
            (r#"{"auths":"hunter2"}"#, "auths of .dockerconfigjson is no object"),
            (r#"{"auths":{"a":"hunter2"}}"#, "auths[\"a\"] of .dockerconfigjson is no object"),
            (
                r#"{"auths":{"a":{"password":["hunter2"]}}}"#,
                "auths[\"a\"].password of .dockerconfigjson is no string",
            ),
            (
                r#"{"auths":{"a":{"auth":"hunter2!"}}}"#,
                "auths[\"a\"].auth of .dockerconfigjson is no base64",
            ),
            (
                r#"{"auths":{"a":{"auth":"aHVudGVyMg=="}}}"#,
                "auths[\"a\"].auth of .dockerconfigjson is not USER:PASSWORD in base64",
            ),
        ] {
            assert_eq!(shown(json), Err(format!("secret registry-creds: {expected}")));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse("s", &bytes);
        }

        #[test]
        fn nearly_right_json_does_not_either(auth in "[A-Za-z0-9+/=:]{0,24}") {
            let json = format!(r#"{{"auths":{{"a":{{"auth":"{auth}"}}}}}}"#);
            let _ = parse("s", json.as_bytes());
        }
    }
}
