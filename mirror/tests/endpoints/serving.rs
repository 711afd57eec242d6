//! How the server treats connections: limits, broken answers, the end.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use onepull_mirror::{
    Metrics,
    response::Body,
    server::{Serving, serve},
};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::support::noise;

/// No step of these tests takes long; a server that hangs is to fail them.
const LIMIT: Duration = Duration::from_secs(10);

/// A server on loopback, all of whose answers have the frames that a test sends.
struct Server {
    at: std::net::SocketAddr,
    metrics: Metrics,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

type Frames = mpsc::Receiver<io::Result<Bytes>>;

impl Server {
    /// Answers one request with `length` bytes, which come from `frames`.
    async fn start(length: usize, frames: Frames, with: impl FnOnce(Serving) -> Serving) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let metrics = Metrics::register(&mut Registry::default());
        let shutdown = CancellationToken::new();
        let frames = std::sync::Arc::new(std::sync::Mutex::new(Some(frames)));
        let answer = move |_| {
            let body = body(frames.lock().unwrap().take().unwrap());
            let response = Response::builder().header(header::CONTENT_LENGTH, length);
            std::future::ready(response.body(body).unwrap())
        };
        let serving = with(Serving::runtime(metrics.clone()));
        let served = serve(listener, serving, answer, shutdown.clone());
        Self { at, metrics, shutdown, ended: TaskTracker::new().spawn(served) }
    }

    /// A client that has asked and got the answer's head and `first` bytes.
    async fn ask(&self, first: usize) -> TcpStream {
        let mut client = TcpStream::connect(self.at).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let (mut read, mut byte) = (Vec::new(), [0]);
        while !read.ends_with(b"\r\n\r\n") {
            within(client.read_exact(&mut byte)).await.unwrap();
            read.extend(byte);
        }
        within(client.read_exact(&mut vec![0; first])).await.unwrap();
        client
    }
}

fn body(frames: Frames) -> Body {
    let frames = stream::unfold(frames, |mut frames| async {
        Some((frames.recv().await?.map(Frame::data), frames))
    });
    StreamBody::new(frames.boxed()).boxed_unsync()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.unwrap()
}

#[tokio::test]
async fn a_draining_server_refuses_newcomers_and_ends_running_answers() {
    let (sender, frames) = mpsc::channel(1);
    let server = Server::start(20, frames, |serving| serving).await;
    sender.send(Ok(Bytes::from_static(b"0123456789"))).await.unwrap();
    let mut reader = server.ask(10).await;

    server.shutdown.cancel();
    let refused = async {
        // Until the listener is closed, connections come about, and are reset then.
        while !matches!(TcpStream::connect(server.at).await,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
        {
            tokio::task::yield_now().await;
        }
    };
    within(refused).await;
    assert!(!server.ended.is_finished(), "an answer still runs");

    sender.send(Ok(Bytes::from_static(b"abcdefghij"))).await.unwrap();
    let mut rest = Vec::new();
    within(reader.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"abcdefghij");
    within(server.ended).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_outlasts_the_drain_is_gone_when_the_server_is() {
    let (sender, frames) = mpsc::channel(1);
    let drain = Duration::from_millis(50);
    let server = Server::start(20, frames, |serving| Serving { drain, ..serving }).await;
    sender.send(Ok(Bytes::from_static(b"0123456789"))).await.unwrap();
    let mut reader = server.ask(10).await;

    server.shutdown.cancel();
    within(server.ended).await.unwrap();
    assert!(sender.is_closed(), "the answer was dropped");
    assert_eq!(server.metrics.connections.get(), 0);
    assert_eq!(within(reader.read(&mut [0; 16])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_at_once() {
    let (sender, frames) = mpsc::channel(1);
    let server = Server::start(20, frames, |serving| Serving { connections: 1, ..serving }).await;
    sender.send(Ok(Bytes::from_static(b"0123456789"))).await.unwrap();
    let mut reader = server.ask(10).await;

    let mut over = TcpStream::connect(server.at).await.unwrap();
    assert_eq!(within(over.read(&mut [0; 16])).await.unwrap(), 0);
    assert_eq!(server.metrics.connections.get(), 1);

    sender.send(Ok(Bytes::from_static(b"abcdefghij"))).await.unwrap();
    within(reader.read_exact(&mut [0; 10])).await.unwrap();
}

#[tokio::test]
async fn what_came_before_a_break_arrives_and_then_the_connection_ends() {
    let (sender, frames) = mpsc::channel(2);
    let good = Bytes::from(noise(48 << 10, 5));
    sender.send(Ok(good.clone())).await.unwrap();
    sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    let server = Server::start(1 << 20, frames, |serving| serving).await;

    let mut reader = server.ask(0).await;
    let mut got = Vec::new();
    within(reader.read_to_end(&mut got)).await.unwrap();
    assert!(got == good, "{} of {} bytes", got.len(), good.len());
}

#[tokio::test]
async fn a_slow_reader_gets_what_came_before_a_break() {
    let (sender, frames) = mpsc::channel(2);
    // More than the kernel's buffers take.
    let good = Bytes::from(noise(16 << 20, 6));
    sender.send(Ok(good.clone())).await.unwrap();
    let server = Server::start(64 << 20, frames, |serving| serving).await;
    let mut reader = server.ask(0).await;
    let tail = Bytes::from(noise(48 << 10, 7));
    sender.send(Ok(tail.clone())).await.unwrap();
    sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();

    let mut got = Vec::new();
    within(reader.read_to_end(&mut got)).await.unwrap();
    assert!(got == [good, tail].concat(), "{} bytes", got.len());
}
