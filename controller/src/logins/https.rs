//! The listener: HTTPS, one question a connection at most a minute, within bounds.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Body,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use onepull_api::logins::{Logins, MAX_QUESTION, PATH, Question};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Duration, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{Desk, refusal::Refusal};

/// Connections at once; more are closed. Only seeds ask, once an image.
const CONNECTIONS: usize = 256;

/// Questions at once: each is two or three for the API server. More wait a little.
const QUESTIONS: usize = 16;
const TURN: Duration = Duration::from_secs(3);

/// For the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// For a question's head, its body, and its answer.
const HEAD: Duration = Duration::from_secs(5);
const QUESTION: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);

/// A connection's longest life.
const CONNECTION: Duration = Duration::from_secs(60);

/// Largest request head: a token has a kilobyte or two.
const LARGEST_HEAD: usize = 32 * 1024;

/// After a failed accept (too many open files, say).
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Answers until `running` is cancelled; answers under way are among `tasks`.
pub(super) async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    desk: Arc<Desk>,
    running: CancellationToken,
    tasks: &TaskTracker,
) {
    let acceptor = TlsAcceptor::from(config);
    let (free, turns) =
        (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(QUESTIONS)));
    while let Some(accepted) = running.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "cannot accept connections");
                sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&free).try_acquire_owned() else { continue };
        let desk = Waiting { desk: Arc::clone(&desk), turns: Arc::clone(&turns) };
        let connection = connection(stream, acceptor.clone(), desk);
        tasks.spawn(async move {
            let _ = timeout(CONNECTION, connection).await;
            drop(slot);
        });
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, desk: Waiting) {
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "no handshake"),
        Err(_) => return,
    };
    let desk = Arc::new(desk);
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.respond(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LARGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "connection ended");
    }
}

/// The desk, and the line before it.
struct Waiting {
    desk: Arc<Desk>,
    turns: Arc<Semaphore>,
}

// === impl Waiting ===

impl Waiting {
    async fn respond<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let late = |_| Err(Refusal::Unavailable("it takes too long".into()));
        let answer = timeout(ANSWER, self.answer(request)).await.unwrap_or_else(late);
        let answer = answer.and_then(|logins| {
            serde_json::to_vec(&logins).map_err(|error| Refusal::Unavailable(error.to_string()))
        });
        match answer {
            Ok(json) => response(StatusCode::OK, "application/json", json.into()),
            Err(refusal) => {
                debug!(%refusal, "no logins");
                let status = refusal.status();
                let text = format!("{refusal}\n").into();
                let mut response = response(status, "text/plain; charset=utf-8", text);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                }
                response
            }
        }
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<Logins, Refusal>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        if request.method() != Method::POST || request.uri().path() != PATH {
            return Err(Refusal::NotFound);
        }
        let token = bearer(&request).ok_or(Refusal::NoToken)?.to_owned();
        let bad = |said: &str| Refusal::BadQuestion(said.to_owned());
        let body = timeout(QUESTION, Limited::new(request.into_body(), MAX_QUESTION).collect());
        let body = body.await.map_err(|_| bad("it did not come"))?;
        let body = body.map_err(|_| bad("it is too long, or broke off"))?.to_bytes();
        let question: Question =
            serde_json::from_slice(&body).map_err(|_| bad("it is not as the protocol says"))?;
        let turn = timeout(TURN, self.turns.acquire()).await.map_err(|_| Refusal::Busy)?;
        // Never closed.
        let _turn = turn.map_err(|_| Refusal::Busy)?;
        let node = self.desk.reviewer.node(&token).await?;
        self.desk.granter.logins(&node, &question).await
    }
}

fn bearer<B>(request: &Request<B>) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
