//! Shows the pages to whoever connects.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::Admin;

/// Connections at once: a kubelet, a few Prometheus servers and a person.
const CONNECTIONS: usize = 64;

/// A connection that sends no request for this long is closed; scrapes are a minute apart.
const IDLE: Duration = Duration::from_secs(120);

/// How long answers may go on at the end; each is a few KiB.
const DRAIN: Duration = Duration::from_secs(1);

/// Pause after a failed accept (too many open files, say), so that the loop does not spin.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Shows the pages on `listener` until `running` is cancelled, and a second at most after that.
pub async fn serve(listener: TcpListener, admin: Admin, running: CancellationToken) {
    let connections = TaskTracker::new();
    let graceful = GracefulShutdown::new();
    let cut_off = CancellationToken::new();
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    while let Some(accepted) = running.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "the admin listener cannot accept connections");
                sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&free).try_acquire_owned() else {
            debug!(limit = CONNECTIONS, "too many admin connections; a new one is closed");
            continue;
        };
        let admin = admin.clone();
        let service = service_fn(move |request| ready(Ok::<_, Infallible>(admin.answer(&request))));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        let connection = cut_off.clone().run_until_cancelled_owned(connection);
        connections.spawn(async move {
            if let Some(Err(error)) = connection.await {
                debug!(%error, "an admin connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        cut_off.cancel();
    }
    connections.wait().await;
}

#[cfg(test)]
mod tests {
    use std::{io, net::SocketAddr};

    use prometheus_client::registry::Registry;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test]
    async fn pages_are_shown_until_the_end_and_nobody_holds_it_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, running) = (TaskTracker::new(), CancellationToken::new());
        let admin = Admin::new(Registry::default(), || Ok(()));
        tasks.spawn(serve(listener, admin, running.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut status = [0; 15];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
        let _idle = TcpStream::connect(address).await.unwrap();
        running.cancel();
        tasks.close();
        tasks.wait().await;
        assert!(!matches!(ask(address).await, Ok(1..)), "nobody answers any more");
    }

    /// How many bytes come back. A process that another test is about to start may hold the listener for
    /// a moment, so a connection proves nothing.
    async fn ask(address: SocketAddr) -> io::Result<usize> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        stream.read(&mut [0; 15]).await
    }
}
