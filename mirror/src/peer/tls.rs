//! Mutual TLS between peers: only who has a certificate that both trust is spoken to.
//!
//! Whom to trust, and how a node comes to its certificate, is for whoever starts the node; here are
//! the two ends, and how they are read and written so that it costs little. Peers are known by
//! address and not by name, so one name stands in the certificates of all of them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use tracing::{debug, warn};

use super::dial::Wire;
use crate::metrics::{End, Failure, Metrics};

mod filled;
#[cfg(test)]
mod tests;

use filled::Filled;

/// Bytes taken from the kernel at a time. rustls asks for 4 KiB, which would be some 250,000 calls
/// for each GB; from 64 KiB on there is no difference, until they leave a core's cache.
const READ_AHEAD: usize = 128 * 1024;

/// Bytes that wait for the kernel, encrypted, for each connection: six records go in one call. From
/// 128 KiB on, malloc gives their memory back each time, to fault it in again for the next ones.
const WRITE_BEHIND: usize = 96 * 1024;

/// Both ends of mutual TLS, as one node speaks it.
#[derive(Clone, Debug)]
pub struct Tls {
    /// How it answers. Has to ask for the other's certificate.
    pub server: Arc<ServerConfig>,
    /// How it asks.
    pub client: Arc<ClientConfig>,
    /// The name in every peer's certificate.
    pub name: ServerName<'static>,
}

// === impl Tls ===

impl Tls {
    /// The asking end's handshake.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> io::Result<impl Wire + use<>> {
        let stream = BufReader::with_capacity(READ_AHEAD, stream);
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let handshake = connector.connect(self.name.clone(), stream);
        Ok(Filled(timeout(patience, handshake).await??))
    }
}

/// The answering end's handshake.
pub(crate) async fn accept<S>(
    config: Arc<ServerConfig>,
    stream: S,
    patience: Duration,
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = TlsAcceptor::from(config).accept_with(stream, |connection| {
        connection.set_buffer_limit(Some(WRITE_BEHIND));
    });
    timeout(patience, handshake).await?
}

/// Counts a failed handshake and tells of it, the first refusal aloud. Who only touches the port and
/// goes away again, as probes do, says nothing about keys.
pub(crate) fn note_failure(metrics: &Metrics, end: End, peer: SocketAddr, error: &io::Error) {
    let why = if is_tls(error) { Failure::refused } else { Failure::unfinished };
    let first = metrics.handshake_failed(end, why);
    if first && why == Failure::refused {
        warn!(
            %peer, ?end, %error,
            "a peer was refused, or refused this node: is the cluster key the same on both, and do \
             their clocks agree? Further ones are logged at debug"
        );
    } else {
        debug!(%peer, ?end, %error, "no handshake");
    }
}

/// Whether TLS itself failed, at either end, and not the way there.
pub(crate) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|source| source.is::<rustls::Error>())
}
