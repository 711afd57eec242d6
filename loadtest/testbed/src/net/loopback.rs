//! Ports for servers that have to be told theirs beforehand.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// Free addresses of this process, all different.
///
/// Nobody else takes them before the server does: what asks for any port of `127.0.0.1`, as
/// containerds and clients do all the time, gets none of this address, which is made of the
/// process's number.
///
/// # Errors
/// When the machine has no port left.
pub fn free_addresses<const COUNT: usize>() -> io::Result<[SocketAddr; COUNT]> {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let ours = Ipv4Addr::new(127, 0x80 | (high & 0x7f), middle, low);
    let held: Vec<_> =
        (0..COUNT).map(|_| TcpListener::bind((ours, 0))).collect::<io::Result<_>>()?;
    let mut addresses = [SocketAddr::from((ours, 0)); COUNT];
    for (address, listener) in addresses.iter_mut().zip(held) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}
