//! Where this node listens for its peers, and where they find it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

use super::ConfigError;

/// Documentation addresses (RFC 5737, RFC 3849): the route to them is the default route. IPv4 comes
/// first, as nodes with both families have it everywhere.
const ANYWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// Whether peers are served beyond this host: when they prove who they are, or when it was said in so
/// many words that they need not.
pub(super) fn open_to_peers(key: Option<&PathBuf>, insecure: bool) -> Result<bool, ConfigError> {
    match key {
        Some(key) if insecure => Err(ConfigError::InsecureWithKey(key.clone())),
        key => Ok(insecure || key.is_some()),
    }
}

/// Where a listener for peers belongs.
pub(super) fn peers_at(
    flag: &'static str,
    asked: Option<SocketAddr>,
    port: u16,
    open: bool,
) -> Result<SocketAddr, ConfigError> {
    match asked {
        Some(address) if !open && !address.ip().is_loopback() => {
            Err(ConfigError::PeersNotAuthenticated { flag, address })
        }
        Some(address) => Ok(address),
        None if open => Ok((Ipv6Addr::UNSPECIFIED, port).into()),
        None => Ok((Ipv4Addr::LOCALHOST, port).into()),
    }
}

/// The address at which others reach a listener: its own, or that of the default route. Without one
/// it stays unspecified, and only what needs other nodes refuses it.
pub(super) fn reachable_at(listen: IpAddr) -> IpAddr {
    if listen.is_unspecified() { source_towards(&ANYWHERE).unwrap_or(listen) } else { listen }
}

/// The source address of packets to the first of `destinations` to which there is a route; none is
/// sent.
fn source_towards(destinations: &[SocketAddr]) -> Option<IpAddr> {
    destinations.iter().find_map(|destination| {
        let any: IpAddr = match destination {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(destination).ok()?;
        Some(socket.local_addr().ok()?.ip())
    })
}

#[cfg(test)]
mod tests {
    use onepull_testbed::{Lab, Requirement, Shape, skip};

    use super::*;

    #[test]
    fn peers_beyond_this_host_need_a_proof_or_the_word_insecure() {
        let wide: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let refused = ConfigError::PeersNotAuthenticated { flag: "--x", address: wide };
        assert_eq!(peers_at("--x", Some(wide), 7, false), Err(refused));
        assert_eq!(peers_at("--x", Some(wide), 7, true), Ok(wide));
        assert_eq!(peers_at("--x", None, 7, false), Ok("127.0.0.1:7".parse().unwrap()));
        assert_eq!(peers_at("--x", None, 7, true), Ok("[::]:7".parse().unwrap()));
    }

    #[test]
    fn peers_are_served_beyond_this_host_with_a_key_or_without_any_proof_and_not_with_both() {
        let key = PathBuf::from("key");
        assert_eq!(open_to_peers(None, false), Ok(false));
        assert_eq!(open_to_peers(Some(&key), false), Ok(true));
        assert_eq!(open_to_peers(None, true), Ok(true));
        let both = open_to_peers(Some(&key), true);
        assert_eq!(both, Err(ConfigError::InsecureWithKey(key)));
    }

    #[tokio::test]
    async fn a_node_without_ipv4_is_reached_at_its_ipv6_address() {
        let needs = [Requirement::Root, Requirement::Iproute];
        if skip("a_node_without_ipv4_is_reached_at_its_ipv6_address", &needs) {
            return;
        }
        let lab = Lab::new().unwrap();
        let host = lab.node("v6", Shape::OPEN).unwrap();
        let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        assert_eq!(host.call(|| reachable_at(any)).unwrap(), host.ip());
        for command in [
            "-4 addr flush dev eth0",
            "-6 addr add fd00::5/64 dev eth0 nodad",
            "-6 route add default via fd00::1",
        ] {
            let status = host.command("ip").args(command.split(' ')).status().unwrap();
            assert!(status.success(), "ip {command}");
        }
        let reached: IpAddr = "fd00::5".parse().unwrap();
        assert_eq!(host.call(|| reachable_at(any)).unwrap(), reached);
    }
}
