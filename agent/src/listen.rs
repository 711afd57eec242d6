//! Binds the agent's listeners, with errors that say which flag to change.

use std::{io, net::SocketAddr};

use thiserror::Error;
use tokio::net::TcpListener;

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

/// Listens on `address`. Where the host has no IPv6, `[::]` means `0.0.0.0`.
///
/// # Errors
/// Names the address and the flag that chooses it.
pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ListenError> {
    let result = match TcpListener::bind(address).await {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() && !has_ipv6() => {
            TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], address.port()))).await
        }
        result => result,
    };
    result.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, flag },
        _ => ListenError::Other { address, flag, source },
    })
}

fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::]:0").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_together_with_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address, "--peer-listen").await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--peer-listen"), "{error}");
    }
}
