//! A small HTTP server that answers as a test says, and remembers what it was asked.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, header::HeaderMap};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

/// What it was asked once.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _serving: JoinSet<()>,
}

// === impl Server ===

impl Server {
    pub(crate) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Asked) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        Self::listen(None, answer).await
    }

    pub(crate) async fn start_tls<F, A>(config: ServerConfig, answer: F) -> Self
    where
        F: Fn(Asked) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))), answer).await
    }

    async fn listen<F, A>(tls: Option<TlsAcceptor>, answer: F) -> Self
    where
        F: Fn(Asked) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, tls, asked.clone(), answer));
        Self { address, asked, _serving: serving }
    }

    /// `127.0.0.1:PORT`, which is also the name of a registry.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve<F, A>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: F,
) where
    F: Fn(Asked) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        let (asked, answer) = (asked.clone(), answer.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (asked, answer) = (asked.clone(), answer.clone());
            async move {
                let one = read(request).await;
                asked.lock().unwrap().push(one.clone());
                Ok::<_, Infallible>(answer(one).await)
            }
        });
        let http = hyper::server::conn::http1::Builder::new();
        let tls = tls.clone();
        connections.spawn(async move {
            // A client that hangs up is its own affair.
            let _ = match tls {
                None => http.serve_connection(TokioIo::new(connection), service).await,
                Some(tls) => match tls.accept(connection).await {
                    Ok(connection) => {
                        http.serve_connection(TokioIo::new(connection), service).await
                    }
                    Err(_) => Ok(()),
                },
            };
        });
    }
}

async fn read(request: Request<Incoming>) -> Asked {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Asked {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

/// An answer with a status, headers and a body.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body.into())).unwrap()
}
