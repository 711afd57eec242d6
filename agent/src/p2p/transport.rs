//! How bytes reach another node's DHT: TCP, noise, yamux; with a cluster key, all of it within
//! libp2p's private network, a cipher under a key that only the cluster's nodes have. Whoever has
//! another one, or none, reads noise and is not understood.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
        upgrade::Version,
    },
    identity::Keypair,
    noise,
    pnet::{PnetConfig, PreSharedKey},
    tcp, yamux,
};

/// A connection that is not up by then, handshakes included, never will be: inside a cluster it
/// takes milliseconds. A node whose machine died is out of the routing table this soon.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// The transport that a node named by `keypair` uses, with all that know `pre_shared`.
///
/// # Errors
/// The key cannot sign noise's own.
pub(super) fn transport(
    keypair: &Keypair,
    pre_shared: Option<[u8; 32]>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = FreshPort(tcp::tokio::Transport::new(tcp::Config::new()));
    let Some(key) = pre_shared else {
        return upgraded(tcp, keypair);
    };
    let network = PnetConfig::new(PreSharedKey::new(key));
    upgraded(tcp.and_then(move |stream, _| network.handshake(stream)), keypair)
}

fn upgraded<T>(
    transport: T,
    keypair: &Keypair,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error>
where
    T: Transport<Error: Send + Sync, Dial: Send, ListenerUpgrade: Send> + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = transport
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT_DEADLINE);
    Ok(connection.boxed())
}

/// Dials from a port of its own each time.
///
/// libp2p dials from the listening port, to get through NATs. Two nodes that dial each other at
/// once would then use the same pair of addresses in both directions, which TCP merges into one
/// connection on which both are the dialer, and neither handshake ends.
struct FreshPort<T>(T);

// === impl FreshPort ===

impl<T> Transport for FreshPort<T>
where
    T: Transport<Error = io::Error> + Unpin,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        self.0.dial(address, DialOpts { port_use: PortUse::New, ..options })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
