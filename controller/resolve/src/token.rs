//! Tokens of registries: got from where the registry says, kept until they expire.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>, and
//! <https://distribution.github.io/distribution/spec/auth/oauth/> for identity tokens.

mod cache;

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::StatusCode;
use jiff::Timestamp;
use reqwest::Url;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::{
    Credential, ImageRef, Login, Problem,
    challenge::Bearer,
    retry_after::retry_after,
    transport::{Answer, Authorization, Transport},
};
pub(crate) use cache::{Key, Tokens};

/// A token says how long it lasts, else it lasts this long (the specification's words).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// The longest that is believed: a token outlives the rights of who got it by as much.
const LONGEST_LIFE: Duration = Duration::from_secs(60 * 60);

/// A token is a few KiB; clouds pack many claims into it.
const LARGEST: usize = 64 << 10;

/// Says to token servers who asks.
const CLIENT: &str = "onepull";

/// A token, and how long it may be used.
pub(crate) struct Token {
    pub(crate) authorization: Authorization,
    pub(crate) life: Duration,
}

/// What a token server answers: by one name or the other.
#[derive(Deserialize)]
struct Given {
    #[serde(default, alias = "access_token")]
    token: String,
    expires_in: Option<u64>,
}

/// Gets a token for pulling an image.
pub(crate) async fn fetch(
    transport: &Transport,
    bearer: &Bearer,
    image: &ImageRef,
    credential: Option<&Credential>,
) -> Result<Token, Problem> {
    let url = Url::parse(&bearer.realm);
    let url = url.map_err(|_| Problem::Unusable("names no address where tokens are to be had"))?;
    if !transport.is_safe(&url) {
        return Err(Problem::Unusable("wants credentials to be sent by plain HTTP"));
    }
    let own = format!("repository:{}:pull", image.repository());
    let scope = bearer.scope.as_deref().unwrap_or(&own);
    let service = bearer.service.as_deref().unwrap_or_default();
    let answer = match credential.map(Credential::login) {
        Some(Login::IdentityToken(token)) => {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", service),
                ("scope", scope),
                ("client_id", CLIENT),
                ("refresh_token", token.expose_secret()),
            ];
            transport.post_form(url, &form, LARGEST).await?
        }
        login => {
            let basic = login.and_then(basic);
            transport.get_token(with_query(url, service, scope), basic.as_ref(), LARGEST).await?
        }
    };
    read(&answer, credential)
}

/// Name and password as a header; an identity token has neither.
pub(crate) fn basic(login: &Login) -> Option<Authorization> {
    let Login::Password { user, password } = login else { return None };
    let both = format!("{}:{}", user.expose_secret(), password.expose_secret());
    Authorization::new(&format!("Basic {}", BASE64_STANDARD.encode(both)))
}

fn with_query(mut url: Url, service: &str, scope: &str) -> Url {
    {
        let mut query = url.query_pairs_mut();
        if !service.is_empty() {
            query.append_pair("service", service);
        }
        for one in scope.split(' ').filter(|one| !one.is_empty()) {
            query.append_pair("scope", one);
        }
        query.append_pair("client_id", CLIENT);
    }
    url
}

fn read(answer: &Answer, credential: Option<&Credential>) -> Result<Token, Problem> {
    if answer.status != StatusCode::OK {
        return Err(refusal(answer, credential.into_iter()));
    }
    let unusable = Problem::Unusable("has a token server that sent no token");
    let Ok(given) = serde_json::from_slice::<Given>(&answer.body) else { return Err(unusable) };
    let authorization = Authorization::new(&format!("Bearer {}", given.token));
    let authorization = authorization.filter(|_| !given.token.is_empty()).ok_or(unusable)?;
    let life = given.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs).min(LONGEST_LIFE);
    Ok(Token { authorization, life })
}

/// What a status other than success means, for a registry and its token server alike.
pub(crate) fn refusal<'a>(
    answer: &Answer,
    credential: impl Iterator<Item = &'a Credential>,
) -> Problem {
    let retry_after = retry_after(&answer.headers, Timestamp::now());
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let sources: Vec<_> = credential.map(|one| one.source().to_owned()).collect();
            match sources.is_empty() {
                true => Problem::CredentialMissing,
                false => Problem::CredentialRefused { sources },
            }
        }
        StatusCode::TOO_MANY_REQUESTS => Problem::RateLimited { retry_after },
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => {
            Problem::RateLimited { retry_after }
        }
        status => Problem::Failing { status: status.as_u16() },
    }
}
