//! Between socket addresses and libp2p's multiaddresses.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// `/ip4/…/tcp/…` or `/ip6/…/tcp/…`.
pub(super) fn multiaddr(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip()).with(Protocol::Tcp(at.port()))
}

/// The TCP address at the front of `address`; `None` when it is of another kind.
pub(super) fn socket_addr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip.to_canonical(), port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    #[test]
    fn a_socket_address_survives_the_way_there_and_back() {
        for text in ["10.0.0.1:29902", "[2001:db8::1]:1"] {
            let at = text.parse().unwrap();
            assert_eq!(socket_addr(&multiaddr(at)), Some(at));
            let with_peer = multiaddr(at).with(Protocol::P2p(PeerId::random()));
            assert_eq!(socket_addr(&with_peer), Some(at));
        }
    }

    #[test]
    fn other_kinds_of_addresses_are_not_tcp_addresses() {
        for text in ["/ip4/10.0.0.1/udp/1/quic-v1", "/dns4/node/tcp/1", "/ip4/10.0.0.1"] {
            assert_eq!(socket_addr(&text.parse().unwrap()), None);
        }
    }
}
