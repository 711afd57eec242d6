//! Accepts connections and serves HTTP on them, within bounds, until told to drain.

use std::{convert::Infallible, io, sync::Arc};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Duration, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{metrics::Metrics, response::Body};

/// Largest request head, roughly. Go's and curl's defaults send far less; more is answered with 431.
const LARGEST_HEAD: usize = 64 * 1024;

/// A connection that sends no request for this long is closed. Go's HTTP client gives up its own
/// idle connections after 90 s, and must be the first to do so.
const IDLE: Duration = Duration::from_secs(120);

/// Connections served at once. A node's runtime needs tens; beyond that new ones wait in the
/// listen queue.
const CONNECTIONS: usize = 2048;

/// How long running answers may go on once the server drains.
const DRAIN: Duration = Duration::from_secs(20);

/// A dead reader is noticed after this long, and its buffers are freed.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// Pause after a failed accept (too many open files, say), so that the loop does not spin.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// The IP traffic class of peer traffic: DSCP CS1, "lower effort" (RFC 8622's predecessor), so that
/// a node's own work goes first.
pub const LOWER_EFFORT: u32 = 8 << 2;

/// How a server treats its connections.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The traffic class of what is sent; `None` leaves the default.
    pub traffic_class: Option<u32>,
    /// Counts connections.
    pub metrics: Metrics,
}

/// Serves `answer` on `listener` until `shutdown`, then drains: running answers may end, idle
/// connections are closed. Returns when all are gone or the drain time is over.
pub async fn serve<A, F>(
    listener: TcpListener,
    serving: Serving,
    answer: A,
    shutdown: CancellationToken,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let connections = TaskTracker::new();
    let graceful = GracefulShutdown::new();
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &free)).await {
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept connections");
                sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let work = connection(stream, serving.clone(), answer.clone(), graceful.watcher());
        connections.spawn(async move {
            work.await;
            drop(slot);
        });
    }
    connections.close();
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("some answers did not end in time and are cut off");
    }
}

type Slot = tokio::sync::OwnedSemaphorePermit;

/// The next connection, once there is a slot for it.
async fn accept(listener: &TcpListener, free: &Arc<Semaphore>) -> io::Result<(TcpStream, Slot)> {
    let slot = Arc::clone(free).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn connection<A, F>(stream: TcpStream, serving: Serving, answer: A, watcher: Watcher)
where
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    if let Err(error) = prepare(&stream, serving.traffic_class) {
        debug!(%error, "socket options not set");
    }
    serving.metrics.connections.inc();
    let service = service_fn(move |request| {
        let response = answer(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        debug!(%error, "connection ended");
    }
    serving.metrics.connections.dec();
}

fn prepare(stream: &TcpStream, traffic_class: Option<u32>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    match (traffic_class, stream.local_addr()?.is_ipv4()) {
        (None, _) => Ok(()),
        (Some(class), true) => socket.set_tos_v4(class),
        (Some(class), false) => socket.set_tclass_v6(class),
    }
}
