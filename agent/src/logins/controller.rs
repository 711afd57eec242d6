//! Asks a controller, any of them, for the logins of a pull that this node was told to make.

use std::{net::SocketAddr, path::PathBuf};

use ::kube::Api;
use k8s_openapi::api::core::v1::ConfigMap;
use onepull_api::logins::{
    AUTHORITIES, Login as Told, Logins, MAX_ANSWER, PATH, PORT, Question, SERVICE, server_name,
};
use onepull_resolve::Login;
use rand::seq::SliceRandom;
use rustls::ClientConfig;
use tokio::time::{Duration, timeout};

use super::trust::trust;
use crate::kube::{Link, addresses, slices};

/// For all of it: meanwhile the pull waits.
const LIMIT: Duration = Duration::from_secs(10);

/// For one controller.
const ONE: Duration = Duration::from_secs(4);

/// Controllers that are tried.
const MOST: usize = 3;

/// The controllers of the cluster.
pub(crate) struct Controllers {
    link: Link,
    namespace: String,
    token: PathBuf,
}

/// Why one controller gave nothing.
enum Nothing {
    /// Another one may.
    Away(String),
    /// They all say so.
    Refused(String),
}

// === impl Controllers ===

impl Controllers {
    pub(crate) fn new(link: Link, namespace: String, token: PathBuf) -> Self {
        Self { link, namespace, token }
    }

    /// The logins of one of an image's names.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(crate) async fn ask(&self, image: &str) -> Result<Vec<Login>, String> {
        let late = |_| "no controller said in time with which login to pull".to_owned();
        timeout(LIMIT, self.ask_any(image)).await.unwrap_or_else(|error| Err(late(error)))
    }

    async fn ask_any(&self, image: &str) -> Result<Vec<Login>, String> {
        let token = tokio::fs::read_to_string(&self.token).await.map_err(|error| {
            format!(
                "cannot read the token for the controller {}: {error}; mount a service account \
                 token for its audience, or name the file with --controller-token",
                self.token.display()
            )
        })?;
        let (mut controllers, tls) = self.find().await?;
        controllers.shuffle(&mut rand::rng());
        let mut said = format!("service {SERVICE} in {} has no endpoint ready", self.namespace);
        for controller in controllers.into_iter().take(MOST) {
            let one = timeout(ONE, self.ask_one(controller, &tls, token.trim(), image)).await;
            match one.unwrap_or_else(|_| Err(Nothing::Away("no answer in time".into()))) {
                Ok(logins) => return Ok(logins),
                Err(Nothing::Refused(why)) => {
                    return Err(format!("the controller gives no login: {why}"));
                }
                Err(Nothing::Away(why)) => said = format!("controller {controller}: {why}"),
            }
        }
        Err(format!("no controller says with which login to pull ({said}); see its pods"))
    }

    async fn find(&self) -> Result<(Vec<SocketAddr>, ClientConfig), String> {
        let client = self.link.get().cloned().ok_or("there is no way to the API server")?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &self.namespace);
        let slices = slices(client, &self.namespace, SERVICE);
        let found = tokio::try_join!(slices, maps.get_opt(AUTHORITIES));
        let (slices, published) = found.map_err(|error| {
            format!("cannot look for a controller in namespace {}: {error}", self.namespace)
        })?;
        let tls = published.as_ref().and_then(trust).ok_or_else(|| {
            format!(
                "ConfigMap {}/{AUTHORITIES} has no authority: no controller has started there",
                self.namespace
            )
        })?;
        let ready = addresses(&slices, PORT, |conditions| conditions.ready != Some(false));
        Ok((ready, tls))
    }

    async fn ask_one(
        &self,
        controller: SocketAddr,
        tls: &ClientConfig,
        token: &str,
        image: &str,
    ) -> Result<Vec<Login>, Nothing> {
        let name = server_name(&self.namespace);
        let away = |error: &dyn std::error::Error| Nothing::Away(with_source(error));
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .resolve(&name, controller)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| away(&error))?;
        let question = Question { image: image.to_owned() };
        let question = serde_json::to_vec(&question).map_err(|error| away(&error))?;
        let url = format!("https://{name}:{}{PATH}", controller.port());
        let request = client.post(url).bearer_auth(token).body(question);
        let mut answer = request.send().await.map_err(|error| away(&error.without_url()))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| away(&error.without_url()))? {
            body.extend_from_slice(&part);
            if body.len() > MAX_ANSWER {
                return Err(Nothing::Away("its answer is too long".into()));
            }
        }
        if status.is_success() {
            let logins: Logins = serde_json::from_slice(&body)
                .map_err(|_| Nothing::Away("its answer makes no sense".into()))?;
            return Ok(logins.logins.into_iter().map(login).collect());
        }
        let said = String::from_utf8_lossy(&body).trim().to_owned();
        match status.is_client_error() {
            true => Err(Nothing::Refused(said)),
            false => Err(Nothing::Away(said)),
        }
    }
}

fn login(told: Told) -> Login {
    match told {
        Told::Password { user, password } => {
            Login::Password { user: user.into(), password: password.into() }
        }
        Told::IdentityToken { token } => Login::IdentityToken(token.into()),
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |said, source| format!("{said}: {source}"))
}
