//! The way from this process to a server inside a host: a port on loopback, passed on by copying.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{io::copy_bidirectional, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::net::{free_addresses, inside};

/// The host is on this machine: it answers at once, or nothing listens there.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// A test has a handful of clients, each with one or two connections.
const MAX_CONNECTIONS: usize = 256;

/// Before the next try when a connection cannot be accepted: the process has too many files open,
/// which passes or ends the test elsewhere.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens until it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    _stop: DropGuard,
}

// === impl Relay ===

impl Relay {
    /// Passes connections on to `target` in the network namespace at `namespace`.
    pub(super) fn start(namespace: PathBuf, target: SocketAddr) -> Result<Self> {
        let [address] = free_addresses()?;
        let listener = TcpListener::bind(address).context("cannot listen for the relay")?;
        listener.set_nonblocking(true)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(stopped.run_until_cancelled(accept(listener, namespace, target)))
        });
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Ends only when the listener cannot be used.
async fn accept(listener: TcpListener, namespace: PathBuf, target: SocketAddr) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let Ok((mut client, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let namespace = namespace.clone();
        connections.spawn(async move {
            // A refused connection is closed, as it would be without us.
            if let Ok(mut server) = connect(namespace, target).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

async fn connect(namespace: PathBuf, target: SocketAddr) -> Result<tokio::net::TcpStream> {
    let dial = move || TcpStream::connect_timeout(&target, CONNECT_LIMIT);
    let stream = tokio::task::spawn_blocking(move || inside::call(&namespace, dial)).await???;
    stream.set_nonblocking(true)?;
    Ok(tokio::net::TcpStream::from_std(stream)?)
}
