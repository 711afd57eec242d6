//! Asks a peer for bytes and checks that the answer is what was asked for.

use std::{error::Error, io, iter::successors, net::SocketAddr, ops::Range};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use thiserror::Error;
use tokio::time::{Duration, Instant, error::Elapsed, timeout};

use super::{DOUBTS, FOLLOWER, dial::Dialer, path, tls};
use crate::{
    Digest, Peer,
    deadlines::Deadlines,
    sources::{Parent, Standing},
    store::READ_CHUNK,
};

/// Idle connections kept per peer: a runtime fetches three layers at once.
const IDLE_PER_PEER: usize = 4;

/// Receive buffer of a connection. As large as what the peer sends at a time, for the same reason.
const READ_BUFFER: usize = READ_CHUNK;

/// Bytes per second that a peer which has all of a blob sends at least, on a link that works: half a Mbit/s.
/// Below that the next peer, or the registry, is hardly slower.
const LEAST_RATE: u32 = 64 * 1024;

/// Asks peers over pooled connections.
#[derive(Clone, Debug)]
pub(crate) struct PeerClient {
    http: Client<Dialer, Full<Bytes>>,
    /// This node, as those it follows are told.
    me: HeaderValue,
    answer: Duration,
    arrival: Duration,
    pause: Duration,
    stall: Duration,
    trickle: Duration,
}

/// A peer's answer, positioned at the byte that was asked for.
#[derive(Debug)]
pub(crate) struct PeerStream {
    body: Incoming,
    /// Size of the whole blob in bytes, as the peer says.
    pub(crate) total: u64,
    stall: Duration,
    /// How long the next pause may be, after one that was waited for.
    brief: Option<Duration>,
    pace: Pace,
}

/// What came of late, beside how long it was waited for. The reader's own time does not count.
#[derive(Debug)]
struct Pace {
    /// Over which it has to be [`LEAST_RATE`]; `None` for a peer that may have nothing more yet.
    span: Option<Duration>,
    waited: Duration,
    came: u128,
}

/// Why a peer did not deliver.
#[derive(Debug, Error)]
pub(crate) enum PeerError {
    #[error("does not hold it")]
    Absent,
    #[error("is not ahead of this node")]
    NotAhead,
    #[error("has no upload slot free")]
    Busy,
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("answered other bytes than were asked for")]
    WrongAnswer,
    #[error("sent nothing in time")]
    Stalled(#[from] Elapsed),
    #[error("sent less than {} KiB a second", LEAST_RATE / 1024)]
    Trickles,
    #[error("says another size than the peer before it")]
    OtherSize,
    #[error("cannot be reached")]
    Connect(#[source] hyper_util::client::legacy::Error),
    #[error("closed the connection instead of answering")]
    Closed(#[source] hyper_util::client::legacy::Error),
    #[error("broke off")]
    Broken(#[from] hyper::Error),
    #[error("made no request")]
    Request(#[from] http::Error),
}

// === impl PeerClient ===

impl PeerClient {
    /// Speaks for the node whose peer endpoint is at `me`.
    pub(crate) fn new(me: SocketAddr, dialer: Dialer, deadlines: &Deadlines) -> Self {
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(IDLE_PER_PEER)
            .http1_max_buf_size(READ_BUFFER)
            .build(dialer);
        let me = HeaderValue::try_from(me.to_string());
        Self {
            http,
            me: me.unwrap_or(HeaderValue::from_static("")),
            answer: deadlines.answer,
            arrival: deadlines.arrival,
            pause: deadlines.pause,
            stall: deadlines.stall,
            trickle: deadlines.trickle,
        }
    }

    /// The size of the blob, if the peer holds it.
    pub(crate) async fn size(&self, peer: &Peer, digest: &Digest) -> Result<u64, PeerError> {
        let request = blob_request(Method::HEAD, peer, digest)?;
        let response = self.ask(request, self.answer).await?;
        number(response.headers(), header::CONTENT_LENGTH).ok_or(PeerError::WrongAnswer)
    }

    /// Streams the blob from the first byte of `range`; to its end when the range's end is `None`.
    pub(crate) async fn open(
        &self,
        parent: &Parent,
        digest: &Digest,
        first: u64,
        end: Option<u64>,
    ) -> Result<PeerStream, PeerError> {
        let range = (first > 0 || end.is_some()).then(|| match end {
            None => format!("bytes={first}-"),
            Some(end) => format!("bytes={first}-{}", end.saturating_sub(1)),
        });
        let ranged = range.is_some();
        let mut request = blob_request(Method::GET, &parent.peer, digest)?;
        if let Some(range) = range {
            let range = range.try_into().map_err(http::Error::from)?;
            request.headers_mut().insert(header::RANGE, range);
        }
        if parent.standing != Standing::Announced {
            request.headers_mut().insert(FOLLOWER, self.me.clone());
        }
        // Only who has nothing yet is made to wait, for the parent's own first byte.
        let arriving = parent.is_arriving();
        let patience = if arriving && first == 0 { self.arrival } else { self.answer };
        let stall = if arriving { self.pause } else { self.stall };
        let response = self.ask(request, patience).await?;
        let length = number(response.headers(), header::CONTENT_LENGTH);
        let total = match (response.status(), ranged) {
            (StatusCode::OK, false) => length,
            (StatusCode::PARTIAL_CONTENT, true) => content_range(response.headers())
                .filter(|(part, total)| {
                    part.start == first
                        && Some(part.end - part.start) == length
                        && part.end == end.unwrap_or(*total).min(*total)
                })
                .map(|(_, total)| total),
            _ => None,
        };
        let total = total.ok_or(PeerError::WrongAnswer)?;
        let span = (!arriving).then_some(self.trickle);
        let pace = Pace { span, waited: Duration::ZERO, came: 0 };
        Ok(PeerStream { body: response.into_body(), total, stall, brief: None, pace })
    }

    /// What a coordinator says to `message`, at most `limit` bytes of it.
    pub(crate) async fn post(
        &self,
        peer: SocketAddr,
        path: &str,
        message: Vec<u8>,
        limit: usize,
    ) -> Result<Bytes, PeerError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{peer}{path}"))
            .body(Full::from(message))?;
        let response = self.ask(request, self.answer).await?;
        let body = timeout(self.answer, Limited::new(response.into_body(), limit).collect());
        Ok(body.await?.map_err(|_| PeerError::WrongAnswer)?.to_bytes())
    }

    /// Tells a peer that bytes of a blob were wrong which came from it, among others perhaps.
    pub(crate) async fn doubt(&self, peer: &Peer, digest: &Digest) -> Result<(), PeerError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{DOUBTS}{digest}", peer.endpoint))
            .body(Full::default())?;
        self.ask(request, self.answer).await.map(drop)
    }

    async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        patience: Duration,
    ) -> Result<Response<Incoming>, PeerError> {
        let response = timeout(patience, self.http.request(request)).await??;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND => Err(PeerError::Absent),
            StatusCode::CONFLICT => Err(PeerError::NotAhead),
            StatusCode::SERVICE_UNAVAILABLE => Err(PeerError::Busy),
            status => Err(PeerError::Status(status)),
        }
    }
}

fn blob_request(
    method: Method,
    peer: &Peer,
    digest: &Digest,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let uri = format!("http://{}{}", peer.endpoint, path(digest));
    Request::builder().method(method).uri(uri).body(Full::default())
}

// === impl PeerError ===

impl From<hyper_util::client::legacy::Error> for PeerError {
    /// With TLS 1.3, who asks takes the connection for ready before the other end has looked at its
    /// certificate, and hears of a refusal in place of the answer.
    fn from(error: hyper_util::client::legacy::Error) -> Self {
        let refused = || causes(&error).filter_map(|cause| cause.downcast_ref()).any(tls::is_tls);
        if error.is_connect() || refused() { Self::Connect(error) } else { Self::Closed(error) }
    }
}

/// An error's causes, the nearest first.
fn causes(error: &dyn Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(error.source(), |cause| (*cause).source())
}

// === impl PeerStream ===

impl PeerStream {
    /// Waits no longer than this for the next bytes, if it would have waited longer.
    pub(crate) fn wait_briefly(&mut self, most: Duration) {
        self.brief = Some(most);
    }

    /// The next bytes; `None` at the end of what the peer sends.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, PeerError> {
        loop {
            let patience = self.brief.map_or(self.stall, |most| most.min(self.stall));
            let asked = Instant::now();
            let Some(frame) = timeout(patience, self.body.frame()).await? else {
                return Ok(None);
            };
            self.brief = None;
            match frame?.into_data() {
                Ok(bytes) if !bytes.is_empty() => {
                    let is_enough = self.pace.note(bytes.len(), asked.elapsed());
                    return if is_enough { Ok(Some(bytes)) } else { Err(PeerError::Trickles) };
                }
                _ => {}
            }
        }
    }
}

// === impl Pace ===

impl Pace {
    /// Whether it is worth staying, when so many bytes have come after so long.
    fn note(&mut self, bytes: usize, waited: Duration) -> bool {
        let Some(span) = self.span else { return true };
        self.waited += waited;
        self.came += bytes as u128;
        if self.waited < span {
            return true;
        }
        let is_enough = self.came >= u128::from(LEAST_RATE) * self.waited.as_millis() / 1000;
        (self.waited, self.came) = (Duration::ZERO, 0);
        is_enough
    }
}

impl From<PeerError> for io::Error {
    fn from(error: PeerError) -> Self {
        io::Error::other(error)
    }
}

fn number(headers: &HeaderMap, name: header::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Reads `Content-Range: bytes FIRST-LAST/TOTAL` into the part, end excluded, and the total.
fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, u64)> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (part, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let (first, last, total): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last < total).then_some((first..last + 1, total))
}
