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

/// Whether another node can reach `ip` when told nothing else. A link-local IPv6 address means
/// nothing without the name of a link, which no URI can carry.
pub(super) fn is_reachable(ip: IpAddr) -> bool {
    let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    !(ip.is_unspecified() || ip.is_multicast() || link_local)
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

    #[test]
    fn an_address_that_needs_more_than_itself_is_not_reachable() {
        for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1"] {
            assert!(!is_reachable(text.parse().unwrap()), "{text}");
        }
        for text in ["10.0.0.1", "127.0.0.1", "fd00::1", "2001:db8::1"] {
            assert!(is_reachable(text.parse().unwrap()), "{text}");
        }
    }
}
