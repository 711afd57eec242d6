//! Opening the DHT's listeners.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use futures::StreamExt;
use libp2p::{Swarm, TransportError, swarm::SwarmEvent};
use thiserror::Error;
use tokio::time::timeout;

use super::{
    address::{multiaddr, socket_addr},
    behaviour::Behaviour,
};

/// A bound listener reports its address at once; this only keeps a defect from hanging the start.
const REPORT_DEADLINE: Duration = Duration::from_secs(5);

/// Why there is no listener.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Another program listens there.
    #[error("{0} is in use by another program: stop it, or choose another port (--p2p-listen)")]
    InUse(SocketAddr),
    /// The system refuses the address.
    #[error("cannot listen on {at}: choose an address of this machine (--p2p-listen)")]
    Refused {
        /// The address asked for.
        at: SocketAddr,
        #[source]
        #[doc(hidden)]
        source: io::Error,
    },
    /// The listener did not report its address in time.
    #[error("the listener on {0} does not come up")]
    Silent(SocketAddr),
}

/// The open listeners.
#[derive(Debug)]
pub(super) struct Listeners {
    /// The port, also when any was asked for.
    pub(super) port: u16,
    /// The addresses reported so far.
    pub(super) addresses: HashSet<SocketAddr>,
}

/// Listens on `at`. libp2p's IPv6 sockets take no IPv4, so `[::]` opens two, unless the machine has
/// no IPv6.
pub(super) async fn listen(
    swarm: &mut Swarm<Behaviour>,
    at: SocketAddr,
) -> Result<Listeners, ListenError> {
    check_free(at)?;
    let any_v4 = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    if at.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return open(swarm, at).await;
    }
    let Ok(mut listeners) = open(swarm, at).await else {
        return open(swarm, any_v4(at.port())).await;
    };
    listeners.addresses.extend(open(swarm, any_v4(listeners.port)).await?.addresses);
    Ok(listeners)
}

/// libp2p's listeners share their port with any other socket that is willing to share, such as a
/// second agent, which would then get a part of the connections. Others have to be refused here.
fn check_free(at: SocketAddr) -> Result<(), ListenError> {
    match TcpListener::bind(at) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ListenError::InUse(at)),
        // Anything else is for the real listener to say.
        _ => Ok(()),
    }
}

async fn open(swarm: &mut Swarm<Behaviour>, at: SocketAddr) -> Result<Listeners, ListenError> {
    swarm.listen_on(multiaddr(at)).map_err(|error| {
        let source = match error {
            TransportError::Other(source) => source,
            other => io::Error::other(other),
        };
        ListenError::Refused { at, source }
    })?;
    let reported = async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await
                && let Some(at) = socket_addr(&address)
            {
                return at;
            }
        }
    };
    let first = timeout(REPORT_DEADLINE, reported).await.map_err(|_| ListenError::Silent(at))?;
    Ok(Listeners { port: first.port(), addresses: HashSet::from([first]) })
}
