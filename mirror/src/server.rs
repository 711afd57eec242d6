//! Accepts connections and serves HTTP on them, within bounds, until told to drain.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    sync::Semaphore,
    time::{Duration, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{metrics::Metrics, response::Body};

mod flushed;
mod handshake;
mod listener;
mod sending;
mod serving;

pub use listener::Listener;
pub(crate) use sending::ByKernel;
pub use sending::SendFile;
pub use serving::{LOWER_EFFORT, Serving};

use flushed::{FlushedBody, FlushedIo, Waiting};
use handshake::Gate;
use sending::Sending;

/// Largest request head, roughly. Go's and curl's defaults send far less; more is answered with 431.
const LARGEST_HEAD: usize = 64 * 1024;

/// A connection that sends no request for this long is closed. Go's HTTP client gives up its own
/// idle connections after 90 s, and must be the first to do so.
const IDLE: Duration = Duration::from_secs(120);

/// Pause after a failed accept (too many open files, say), so that the loop does not spin.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Serves `answer` on `listener` until `shutdown`, then drains: nobody new is let in, running
/// answers may end, idle connections are closed. When the drain time is over, the rest is cut off.
///
/// # Guarantees
/// No connection is open and no answer runs once this returns.
pub async fn serve<L, A, F>(listener: L, serving: Serving, answer: A, shutdown: CancellationToken)
where
    L: Listener,
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let connections = TaskTracker::new();
    let graceful = GracefulShutdown::new();
    let cut_off = CancellationToken::new();
    let free = Arc::new(Semaphore::new(serving.connections));
    listener.pace();
    let gate = serving.tls.clone().map(|config| Gate::new(config, serving.metrics.clone()));
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept connections");
                sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&free).try_acquire_owned() else {
            debug!(limit = serving.connections, "too many connections; a new one is closed");
            continue;
        };
        if let Err(error) = L::prepare(&stream, &serving) {
            debug!(%error, "socket options not set");
        }
        let open = Open::new(serving.metrics.clone());
        let work = life(stream, from, gate.clone(), answer.clone(), graceful.watcher());
        let work = cut_off.clone().run_until_cancelled_owned(work);
        connections.spawn(async move {
            work.await;
            drop((open, slot));
        });
    }
    // Who comes from now on is refused by the kernel, and who still waits is reset: all go
    // elsewhere at once. As long as the listener is open they would wait for an answer.
    drop(listener);
    connections.close();
    if timeout(serving.drain, graceful.shutdown()).await.is_err() {
        warn!("some answers did not end in time and are cut off");
        cut_off.cancel();
    }
    connections.wait().await;
}

/// A connection from its proof, if it needs one, to its last answer.
async fn life<S, A, F>(stream: S, from: SocketAddr, gate: Option<Gate>, answer: A, watcher: Watcher)
where
    S: SendFile,
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Some(gate) = gate else {
        return connection(stream, answer, watcher).await;
    };
    if let Some(stream) = gate.pass(stream, from).await {
        connection(stream, answer, watcher).await;
    }
}

async fn connection<S, A, F>(stream: S, answer: A, watcher: Watcher)
where
    S: SendFile,
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let waiting = Waiting::default();
    // Where buffers are gathered into one, hyper would copy what stands in for a part.
    let by_kernel = S::BY_KERNEL && stream.is_write_vectored();
    let stream = FlushedIo::new(TokioIo::new(Sending::new(stream)), waiting.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        if by_kernel {
            request.extensions_mut().insert(ByKernel);
        }
        let (response, waiting) = (answer(request), waiting.clone());
        async move { Ok::<_, Infallible>(response.await.map(|body| FlushedBody::new(body, waiting))) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(stream, service);
    if let Err(error) = watcher.watch(connection).await {
        debug!(%error, "connection ended");
    }
}

/// A connection in the count of open ones.
struct Open(Metrics);

// === impl Open ===

impl Open {
    fn new(metrics: Metrics) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}
