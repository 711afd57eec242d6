//! What a peer endpoint spends on who comes to it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use onepull_agent::peer_tls::peer_tls;
use onepull_mirror::{
    Metrics,
    metrics::{End, Failure, Handshake},
    peer::Tls,
    response::Body,
    server::{Serving, serve},
};
use prometheus_client::registry::Registry;
use rustls::time_provider::DefaultTimeProvider;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{KEY, key};

/// A peer endpoint that answers everything with 204.
struct Server {
    at: SocketAddr,
    tls: Tls,
    metrics: Metrics,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    async fn start() -> Self {
        let tls = peer_tls(&key(KEY), Arc::new(DefaultTimeProvider)).unwrap();
        let metrics = Metrics::register(&mut Registry::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let serving = Serving::peers(metrics.clone(), Some(Arc::clone(&tls.server)));
        let answer = |_| async {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        };
        tasks.spawn(serve(listener, serving, answer, shutdown.clone()));
        Self { at, tls, metrics, shutdown, tasks }
    }

    /// A connection of a node with the key.
    async fn connect(&self) -> http1::SendRequest<Empty<&'static [u8]>> {
        let stream = TcpStream::connect(self.at).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.tls.client));
        let stream = connector.connect(self.tls.name.clone(), stream).await.unwrap();
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn(connection);
        requests
    }

    fn unfinished(&self) -> u64 {
        let labels = Handshake { end: End::accepted, why: Failure::unfinished };
        self.metrics.handshakes_failed.get_or_create(&labels).get()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn ask(requests: &mut http1::SendRequest<Empty<&'static [u8]>>) -> StatusCode {
    let request = Request::builder().uri("/").body(Empty::new()).unwrap();
    let response = requests.send_request(request).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_cut_off_and_leaves_nothing() {
    let server = Server::start().await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(server.at).await.unwrap();
    let mut read = Vec::new();
    let _ = silent.read_to_end(&mut read).await;
    assert_eq!(read, b"");
    assert!(started.elapsed() <= Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(server.unfinished(), 1);
    let metrics = server.metrics.clone();
    server.stop().await;
    assert_eq!(metrics.connections.get(), 0);
}

#[tokio::test]
async fn a_crowd_that_says_nothing_keeps_no_peer_waiting() {
    let server = Server::start().await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(server.at).await.unwrap());
    }
    let peer = async { ask(&mut server.connect().await).await };
    let status = timeout(Duration::from_secs(2), peer).await.expect("before the crowd is gone");
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(server.unfinished(), 0, "the crowd is still there");
    drop(crowd);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_takes_one_request_after_the_other() {
    let server = Server::start().await;
    let mut requests = server.connect().await;
    for _ in 0..3 {
        assert_eq!(ask(&mut requests).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(server.metrics.connections.get(), 1);
    drop(requests);
    server.stop().await;
}
