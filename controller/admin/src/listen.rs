//! Binds listeners, with errors that say which flag to change.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
};

use rustix::net::sockopt::set_ipv6_v6only;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted. It takes microseconds each, so this is a burst of all
/// peers of a large cluster at once.
const BACKLOG: u32 = 1024;

/// A listener that could not be opened.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error(
        "cannot listen on {address}: the port is in use; stop the program that holds it \
         (ss -ltnp shows which), or choose another address with {flag}"
    )]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// The flag that set it.
        flag: &'static str,
    },
    /// The address cannot be had for another reason.
    #[error("cannot listen on {address}: {source}; choose another address with {flag}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// The flag that set it.
        flag: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Listens on `address`. `[::]` takes IPv4 too, whatever the host's `bindv6only` says; where the host
/// has no IPv6, it means `0.0.0.0`.
///
/// # Errors
/// Names the address and the flag that chooses it.
pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ListenError> {
    let result = match open(address) {
        Err(_) if is_any_v6(address) && !has_ipv6() => {
            open(SocketAddr::from(([0, 0, 0, 0], address.port())))
        }
        result => result,
    };
    result.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, flag },
        _ => ListenError::Other { address, flag, source },
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if is_any_v6(address) {
        set_ipv6_v6only(&socket, false)?;
    }
    // As the standard library does: connections of a former process are no obstacle.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_any_v6(address: SocketAddr) -> bool {
    address.ip() == Ipv6Addr::UNSPECIFIED
}

fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::]:0").is_ok()
}

#[cfg(test)]
mod tests {
    use onepull_testbed::{Lab, Requirement, Shape, skip};

    use super::*;

    #[tokio::test]
    async fn a_listener_on_all_addresses_takes_ipv4_even_where_the_host_says_otherwise() {
        let needs = [Requirement::Root, Requirement::Iproute];
        if skip("a_listener_on_all_addresses_takes_ipv4_even_where_the_host_says_otherwise", &needs)
        {
            return;
        }
        let lab = Lab::new().unwrap();
        let host = lab.node("v6only", Shape::OPEN).unwrap();
        let connected = host.enter(|| async {
            std::fs::write("/proc/sys/net/ipv6/bindv6only", "1").unwrap();
            let listener = bind("[::]:0".parse().unwrap(), "--peer-listen").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map(drop)
        });
        connected.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_together_with_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address, "--peer-listen").await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--peer-listen"), "{error}");
    }
}
