//! The embedded origin registry: serves one image, counts what it sends, at a limited rate.
//!
//! It speaks as much of the OCI distribution protocol as a pull needs. It can also be told to
//! misbehave, which is how the puller is tested.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use onepull_mirror::Throttle;

use crate::image::Image;

mod body;
mod fault;
mod routes;
mod wire;

pub use fault::{Fault, Faults};
pub use routes::{REPOSITORY, TAG};

/// A running origin; it stops when dropped.
pub struct Origin {
    address: SocketAddr,
    counters: Arc<Counters>,
    _accepting: AbortOnDropHandle<()>,
}

/// What an origin has sent so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Bytes of manifests, configurations and layers.
    pub body: u64,
    /// Bytes written to sockets: the bodies and their HTTP headers.
    pub wire: u64,
}

#[derive(Debug, Default)]
struct Counters {
    body: AtomicU64,
    wire: AtomicU64,
}

/// What every connection of an origin needs.
struct Shared {
    image: Arc<Image>,
    uplink: Option<Arc<Throttle>>,
    faults: Faults,
    counters: Arc<Counters>,
}

// === impl Origin ===

impl Origin {
    /// Serves `image` on a free port of `ip`; all its connections share `uplink`.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn start(
        ip: IpAddr,
        image: Arc<Image>,
        uplink: Option<Arc<Throttle>>,
        faults: Faults,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let shared = Arc::new(Shared { image, uplink, faults, counters: Arc::clone(&counters) });
        #[allow(clippy::disallowed_methods, reason = "the handle aborts it when dropped")]
        let accepting = tokio::spawn(accept(listener, shared));
        Ok(Self { address, counters, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has sent so far.
    pub fn egress(&self) -> Egress {
        Egress {
            body: self.counters.body.load(Ordering::Relaxed),
            wire: self.counters.wire.load(Ordering::Relaxed),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                Err(error) => tracing::warn!(%error, "the origin cannot accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let counters = Arc::clone(&shared.counters);
    let io = TokioIo::new(wire::Counted::new(stream, counters));
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, io::Error>(routes::answer(&shared, &request).await) }
    });
    if let Err(error) = http1::Builder::new().serve_connection(io, service).await {
        tracing::debug!(%error, "a connection to the origin ended early");
    }
}
