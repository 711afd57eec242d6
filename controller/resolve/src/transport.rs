//! One question to a server, and its answer: bounded in time and in size.

mod failure;
mod tls;

use std::{collections::BTreeSet, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderValue},
};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, Url, redirect};

use crate::{BadOptions, Options, Problem};
use failure::problem;

/// From the question to the last byte of the answer. Registries answer within a second; a cold
/// storage behind one was seen to take several.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(15);

/// To the connection. A packet lost once costs 1 s, twice 3 s.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Registries send blobs away once; a second time is for a registry behind another.
const MOST_REDIRECTS: usize = 5;

/// Connections that are kept for one host: as many as there are questions at once.
const MOST_IDLE: usize = crate::turns::AT_ONCE;

/// Says to registries who asks.
const USER_AGENT: &str = concat!("onepull/", env!("CARGO_PKG_VERSION"));

/// Asks servers by HTTP.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Follows redirects. Credentials stay behind when these lead to another host.
    following: Client,
    /// For token servers: follows none, as what is posted there is itself a credential.
    staying: Client,
    plain_http: BTreeSet<String>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the server answered that was asked, and not one that it named.
    pub(crate) is_first_hand: bool,
}

/// What goes into the header `Authorization`; its debug output says only that it is sensitive.
#[derive(Clone, Debug)]
pub(crate) struct Authorization(HeaderValue);

// === impl Transport ===

impl Transport {
    pub(crate) fn new(options: Options) -> Result<Self, BadOptions> {
        let tls = tls::config(&options.ca_pem)?;
        let client = |redirects| {
            let mut client = base(redirects).tls_backend_preconfigured(tls.clone());
            if !options.proxy_from_environment {
                client = client.no_proxy();
            }
            client.build().map_err(BadOptions::Client)
        };
        let following = client(redirect::Policy::custom(follow))?;
        let staying = client(redirect::Policy::none())?;
        Ok(Self { following, staying, plain_http: options.plain_http })
    }

    /// The address of something that `host` has.
    pub(crate) fn url(&self, host: &str, path: &str) -> Result<Url, Problem> {
        let scheme = if self.plain_http.contains(host) { "http" } else { "https" };
        let url = Url::parse(&format!("{scheme}://{host}{path}"));
        url.map_err(|_| Problem::Unusable("has a name that is no host"))
    }

    /// Whether something secret may be sent there.
    pub(crate) fn is_safe(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let named = self.plain_http.contains(&format!("{host}:{port}"))
            || url.port().is_none() && self.plain_http.contains(host);
        url.scheme() == "https" || url.scheme() == "http" && named
    }

    /// Gets something of a registry, of at most `limit` bytes.
    pub(crate) async fn get(
        &self,
        url: Url,
        accept: &'static str,
        authorization: Option<&Authorization>,
        limit: usize,
    ) -> Result<Answer, Problem> {
        let mut request = self.following.get(url.clone()).header(ACCEPT, accept);
        if let Some(Authorization(value)) = authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        ask(request, &url, limit).await
    }

    /// Gets a token; the question is all in the address and the header.
    pub(crate) async fn get_token(
        &self,
        url: Url,
        authorization: Option<&Authorization>,
        limit: usize,
    ) -> Result<Answer, Problem> {
        let mut request = self.staying.get(url.clone());
        if let Some(Authorization(value)) = authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        ask(request, &url, limit).await
    }

    /// Exchanges one token for another.
    pub(crate) async fn post_form(
        &self,
        url: Url,
        form: &[(&str, &str)],
        limit: usize,
    ) -> Result<Answer, Problem> {
        ask(self.staying.post(url.clone()).form(form), &url, limit).await
    }
}

fn base(redirects: redirect::Policy) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .timeout(EXCHANGE_LIMIT)
        .connect_timeout(CONNECT_LIMIT)
        .pool_max_idle_per_host(MOST_IDLE)
        .referer(false)
        .redirect(redirects)
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let from_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    match attempt.previous().len() {
        after if after > MOST_REDIRECTS => attempt.error("too many redirects"),
        _ if from_https && attempt.url().scheme() != "https" => {
            attempt.error("a redirect to plain HTTP")
        }
        _ => attempt.follow(),
    }
}

async fn ask(request: RequestBuilder, url: &Url, limit: usize) -> Result<Answer, Problem> {
    let response = request.send().await.map_err(|error| problem(&error))?;
    let is_first_hand = response.url().origin() == url.origin();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = read(response, limit).await?;
    Ok(Answer { status, headers, body, is_first_hand })
}

async fn read(mut response: Response, limit: usize) -> Result<Bytes, Problem> {
    let said = response.content_length().unwrap_or(0);
    if usize::try_from(said).map_or(true, |said| said > limit) {
        return Err(Problem::TooLarge { limit });
    }
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| problem(&error))? {
        if body.len() + piece.len() > limit {
            return Err(Problem::TooLarge { limit });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

// === impl Authorization ===

impl Authorization {
    /// `None` if it has bytes that no header may have.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}
