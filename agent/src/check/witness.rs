//! Who can tell whether the mirror was asked: the running agent, or, where none runs, we.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use http_body_util::Empty;
use hyper::{Request, Response, StatusCode, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use onepull_mirror::Digest;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::sleep,
};

use super::admin;

/// How often the agent's counter is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A pull that was given up may have a request on its way, which the agent still counts.
const STRAGGLER: Duration = Duration::from_millis(500);

/// containerd opens one or two connections; others that come meanwhile have to wait.
const CONNECTIONS: usize = 16;

/// Sees requests for the image of one probe.
pub(super) enum Witness {
    /// The agent that runs here counts them; so many it had before.
    Agent { admin: SocketAddr, before: u64 },
    /// Nobody else listens, so we do, and know the image by its digest.
    Stand(TcpListener, Digest),
}

// === impl Witness ===

impl Witness {
    /// Takes the place that is free: that of the mirror, unless an agent runs and serves `admin`.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn call(
        mirror: SocketAddr,
        admin: Option<SocketAddr>,
        probe: Digest,
    ) -> io::Result<Self> {
        if let Some(admin) = admin {
            let none = || io::Error::other("the running agent does not count such requests");
            // Of the probe before.
            sleep(STRAGGLER).await;
            return Ok(Self::Agent { admin, before: admin::probes(admin).await.ok_or_else(none)? });
        }
        Ok(Self::Stand(TcpListener::bind(mirror).await?, probe))
    }

    /// Returns as soon as the mirror has been asked; waits forever if it is not.
    pub(super) async fn asked(&mut self) {
        match self {
            Self::Agent { admin, before } => {
                while admin::probes(*admin).await.is_none_or(|now| now <= *before) {
                    sleep(LOOK_EVERY).await;
                }
            }
            Self::Stand(listener, probe) => stand_in(listener, &probe.to_string()).await,
        }
    }
}

/// Answers 404 to everything, as a mirror without any peer does, until the image is asked for.
async fn stand_in(listener: &TcpListener, probe: &str) {
    let (seen, mut asked) = mpsc::channel(1);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = asked.recv() => return,
            Some(_) = connections.join_next() => {}
            Ok((stream, _)) = listener.accept(), if connections.len() < CONNECTIONS => {
                connections.spawn(refuse_all(stream, probe.to_owned(), seen.clone()));
            }
        }
    }
}

async fn refuse_all(stream: TcpStream, probe: String, seen: mpsc::Sender<()>) {
    let answer = service_fn(|request: Request<_>| {
        if request.uri().path().contains(&probe) {
            // Full means that it is known already.
            let _ = seen.try_send(());
        }
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = StatusCode::NOT_FOUND;
        std::future::ready(Ok::<_, Infallible>(response))
    });
    // A connection that breaks is containerd's to repeat.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
