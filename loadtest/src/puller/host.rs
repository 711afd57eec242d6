//! One host of a registry: the mirror in front of it, or the registry itself.

use std::{error::Error as _, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT, RANGE},
};
use hyper_util::{client::legacy, client::legacy::connect::HttpConnector, rt::TokioExecutor};
use thiserror::Error;
use tokio::time::timeout;

use super::{PullError, Puller};
use onepull_mirror::Digest;

/// The first byte of an answer comes within this time, or the pull fails: containerd never rescues
/// a pull from a host that hangs, so a load test must report one, not wait for ever.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// What containerd accepts as a manifest.
const MANIFEST_TYPES: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

pub(super) type Client = legacy::Client<HttpConnector, Empty<Bytes>>;

/// A host that a manifest or blob is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The node's mirror of `registry`.
    Mirror {
        /// Where the mirror listens.
        mirror: SocketAddr,
        /// The registry that it mirrors.
        registry: SocketAddr,
    },
    /// The registry.
    Origin(SocketAddr),
}

/// Why a host gave no answer that can be used.
#[derive(Debug, Error)]
pub enum HostError {
    /// It cannot be reached, or the connection broke before the answer.
    #[error("{host} does not answer: {source}")]
    Unreachable {
        /// Which one.
        host: SocketAddr,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It did not answer in time.
    #[error("{0} did not answer within a minute")]
    Hung(SocketAddr),
    /// It answered that it has not got it, or cannot serve it.
    #[error("{host} answered {status}")]
    Status {
        /// Which one.
        host: SocketAddr,
        /// What it said.
        status: StatusCode,
    },
}

// === impl Host ===

impl Host {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Mirror { mirror, .. } => *mirror,
            Self::Origin(origin) => *origin,
        }
    }

    fn url(&self, path: &str) -> String {
        match self {
            Self::Mirror { mirror, registry } => format!("http://{mirror}/v2/{path}?ns={registry}"),
            Self::Origin(origin) => format!("http://{origin}/v2/{path}"),
        }
    }
}

// === impl Puller ===

impl Puller {
    /// The first host that serves `path`, from byte `offset` on.
    pub(super) async fn first_answer<'a>(
        &self,
        hosts: &'a [Host],
        digest: Digest,
        path: &str,
        offset: u64,
    ) -> Result<(&'a Host, Response<Incoming>), PullError> {
        let mut tried = Vec::new();
        for host in hosts {
            match ask(&self.client, host, Method::GET, path, offset).await {
                Ok(response) => return Ok((host, response)),
                Err(HostError::Hung(host)) => {
                    let reason = HostError::Hung(host).to_string();
                    return Err(PullError::Aborted { digest, at: offset, reason });
                }
                Err(error) => tried.push(error.to_string()),
            }
        }
        Err(PullError::Unavailable { digest, tried })
    }
}

pub(super) fn client() -> Client {
    legacy::Client::builder(TokioExecutor::new()).build_http()
}

/// Sends one request; an answer that is no success is an error.
pub(super) async fn ask(
    client: &Client,
    host: &Host,
    method: Method,
    path: &str,
    offset: u64,
) -> Result<Response<Incoming>, HostError> {
    let address = host.address();
    let mut request =
        Request::builder().method(method).uri(host.url(path)).header(ACCEPT, MANIFEST_TYPES);
    if offset > 0 {
        request = request.header(RANGE, format!("bytes={offset}-"));
    }
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| HostError::Unreachable {
        host: address,
        source,
    };
    let request = request.body(Empty::new()).map_err(|error| unreachable(error.into()))?;
    let answer = timeout(ANSWER_DEADLINE, client.request(request)).await;
    let response = match answer {
        Ok(answer) => answer.map_err(|error| unreachable(error.into()))?,
        Err(_) => return Err(HostError::Hung(address)),
    };
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(HostError::Status { host: address, status }),
    }
}

/// Whether a body ended by a reset, which containerd does not resume from.
pub(super) fn is_reset(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::ConnectionReset)
}
