//! Opens connections to peers: through the kernel, with TLS or without, or on a network that a test
//! simulates.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Duration, timeout},
};
use tower_service::Service;

use super::tls::{self, Tls};
use crate::metrics::{End, Metrics};

/// Bytes both ways.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

/// Opens a connection on another network than the kernel's.
pub type Dial =
    Arc<dyn Fn(SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Wire>>> + Send + Sync>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections to peers.
#[derive(Clone)]
pub(crate) enum Dialer {
    Tcp(HttpConnector),
    Tls { connector: HttpConnector, proof: Arc<Proof> },
    Other { dial: Dial, patience: Duration },
}

/// How both ends of a connection prove themselves.
pub(crate) struct Proof {
    tls: Tls,
    patience: Duration,
    metrics: Metrics,
}

/// A connection to a peer.
pub(crate) enum Link {
    Tcp(TokioIo<TcpStream>),
    /// Through something else than the bare kernel; one more call for a piece of 1 MiB is nothing.
    Other(TokioIo<Box<dyn Wire>>),
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

// === impl Dialer ===

impl Dialer {
    /// A connection through the kernel may take `patience`.
    pub(crate) fn tcp(patience: Duration) -> Self {
        Self::Tcp(connector(patience))
    }

    /// The same, and so may the handshake. Failed ones are counted. Requests say `http` all the same:
    /// there is one way to peers, and no scheme chooses it.
    pub(crate) fn tls(tls: Tls, patience: Duration, metrics: Metrics) -> Self {
        let proof = Arc::new(Proof { tls, patience, metrics });
        Self::Tls { connector: connector(patience), proof }
    }

    pub(crate) fn other(dial: Dial, patience: Duration) -> Self {
        Self::Other { dial, patience }
    }
}

fn connector(patience: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(patience));
    connector.set_nodelay(true);
    connector
}

/// Whom the URI of a request names.
fn named(uri: &Uri) -> Result<SocketAddr, BoxError> {
    Ok(uri.authority().ok_or("no peer is named")?.as_str().parse()?)
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialer")
    }
}

impl Service<Uri> for Dialer {
    type Response = Link;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Link, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tcp(connector) | Self::Tls { connector, .. } => {
                connector.poll_ready(cx).map_err(Into::into)
            }
            Self::Other { .. } => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Self::Tcp(connector) => {
                let connection = connector.call(uri);
                async { Ok(Link::Tcp(connection.await?)) }.boxed()
            }
            Self::Tls { connector, proof } => {
                let (peer, proof) = (named(&uri), Arc::clone(proof));
                let connection = connector.call(uri);
                let proven =
                    async move { proof.exchange(connection.await?.into_inner(), peer?).await };
                proven.boxed()
            }
            Self::Other { dial, patience } => {
                let (dial, patience) = (Arc::clone(dial), *patience);
                let dialed = async move {
                    Ok(Link::Other(TokioIo::new(timeout(patience, dial(named(&uri)?)).await??)))
                };
                dialed.boxed()
            }
        }
    }
}

// === impl Proof ===

impl Proof {
    async fn exchange(&self, stream: TcpStream, peer: SocketAddr) -> Result<Link, BoxError> {
        let stream = self.tls.connect(stream, self.patience).await;
        let failed = |error: &_| tls::note_failure(&self.metrics, End::dialed, peer, error);
        Ok(Link::Other(TokioIo::new(Box::new(stream.inspect_err(failed)?))))
    }
}

// === impl Link ===

impl Connection for Link {
    fn connected(&self) -> Connected {
        match self {
            Self::Tcp(stream) => stream.connected(),
            Self::Other(_) => Connected::new(),
        }
    }
}

impl Read for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl Write for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Other(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Other(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Self::Other(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }
}
