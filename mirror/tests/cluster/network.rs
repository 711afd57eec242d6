//! turmoil's sockets behind the seams of the server and of the peer client.

use std::{io, net::SocketAddr, sync::Arc};

use futures::FutureExt;
use onepull_mirror::{
    peer::{Dial, Wire},
    server::{Listener, Serving},
};
use turmoil::net::{TcpListener, TcpStream};

/// Where a node's mirror listens, on its loopback address.
pub(crate) const MIRROR: u16 = 29900;

/// Where a node's peer endpoint listens.
pub(crate) const PEER: u16 = 29901;

/// Where the registry listens.
pub(crate) const REGISTRY: u16 = 80;

/// A simulated listening socket.
pub(crate) struct Socket(TcpListener);

// === impl Socket ===

impl Socket {
    pub(crate) async fn bind(port: u16) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?))
    }
}

impl Listener for Socket {
    type Stream = Box<dyn Wire>;

    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        Ok((Box::new(stream), from))
    }

    fn prepare(_: &Self::Stream, _: &Serving) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to peers on the simulated network.
pub(crate) fn dial() -> Dial {
    Arc::new(|to| {
        let connected = TcpStream::connect(to);
        async move { Ok(Box::new(connected.await?) as Box<dyn Wire>) }.boxed()
    })
}
