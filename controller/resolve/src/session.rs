//! Questions about one image to its registry, as one user or as nobody.

use http::StatusCode;
use tokio::time::Instant;

use crate::{
    Credential, ImageRef, Login, Problem,
    challenge::{self, Bearer, Challenge},
    token::{self, Key, Tokens},
    transport::{Answer, Authorization, Transport},
};

/// Keeps what the registry has asked for once, so that it need not ask with each question.
pub(crate) struct Session<'a> {
    transport: &'a Transport,
    tokens: &'a Tokens,
    image: &'a ImageRef,
    credential: Option<&'a Credential>,
    key: Key,
    authorization: Option<Authorization>,
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(crate) fn new(
        transport: &'a Transport,
        tokens: &'a Tokens,
        image: &'a ImageRef,
        credential: Option<&'a Credential>,
    ) -> Self {
        let key = Key::new(image, credential);
        let authorization = tokens.get(&key, Instant::now());
        Self { transport, tokens, image, credential, key, authorization }
    }

    /// Gets a manifest or blob: `kind/reference` below the repository.
    pub(crate) async fn get(
        &mut self,
        path: &str,
        accept: &'static str,
        limit: usize,
    ) -> Result<Answer, Problem> {
        let path = format!("/v2/{}/{path}", self.image.repository());
        let url = self.transport.url(self.image.host(), &path)?;
        let known = self.authorization.take();
        let first = self.transport.get(url.clone(), accept, known.as_ref(), limit).await?;
        if first.status != StatusCode::UNAUTHORIZED || !first.is_first_hand {
            self.authorization = known;
            return self.judge(first);
        }
        self.tokens.remove(&self.key);
        let authorization = self.authorize(&first).await?;
        let second = self.transport.get(url, accept, Some(&authorization), limit).await?;
        self.authorization = Some(authorization);
        self.judge(second)
    }

    /// Answers the registry's question who asks.
    async fn authorize(&self, answer: &Answer) -> Result<Authorization, Problem> {
        match challenge::choose(&answer.headers) {
            Some(Challenge::Basic) => self.basic(answer),
            Some(Challenge::Bearer(bearer)) => self.token(&bearer).await,
            None => {
                Err(Problem::Unusable("asks for a login of a kind that registries do not have"))
            }
        }
    }

    fn basic(&self, answer: &Answer) -> Result<Authorization, Problem> {
        let login = self.credential.map(Credential::login);
        if let Some(Login::IdentityToken(_)) = login {
            return Err(Problem::Unusable(
                "takes a name and a password, but the pull secret has an identity token",
            ));
        }
        login.and_then(token::basic).ok_or_else(|| self.refusal(answer))
    }

    async fn token(&self, bearer: &Bearer) -> Result<Authorization, Problem> {
        let token = token::fetch(self.transport, bearer, self.image, self.credential).await?;
        let authorization = token.authorization.clone();
        self.tokens.put(self.key.clone(), token, Instant::now());
        Ok(authorization)
    }

    fn judge(&self, answer: Answer) -> Result<Answer, Problem> {
        match answer.status {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND => Err(Problem::NotFound),
            // It does not know who asks: the credential stayed with the registry.
            status if !answer.is_first_hand && status.is_client_error() => {
                Err(Problem::Failing { status: status.as_u16() })
            }
            _ => Err(self.refusal(&answer)),
        }
    }

    fn refusal(&self, answer: &Answer) -> Problem {
        token::refusal(answer, self.credential.into_iter())
    }
}
