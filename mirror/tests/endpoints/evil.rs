//! What peers that misbehave answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use onepull_mirror::{Digest, response::Body, router::MemoryNetwork};

use crate::support::evil_peer;

/// The first byte that a request's `Range` asks for.
pub(crate) fn first_byte<B>(request: &Request<B>) -> usize {
    let range = request.headers().get(header::RANGE).map(|value| value.to_str().unwrap());
    range.map_or(0, |range| {
        range.trim_start_matches("bytes=").split('-').next().unwrap().parse().unwrap()
    })
}

/// The head of a right answer for `total` bytes from `first`, and whatever body.
pub(crate) fn answer(first: usize, total: usize, body: Body) -> Response<Body> {
    let response = Response::builder().header(header::CONTENT_LENGTH, total - first);
    let response = if first == 0 {
        response
    } else {
        let range = format!("bytes {first}-{}/{total}", total - 1);
        response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range)
    };
    response.body(body).unwrap()
}

pub(crate) fn absent() -> Response<Body> {
    Response::builder().status(StatusCode::NOT_FOUND).body(whole(Vec::new())).unwrap()
}

pub(crate) fn whole(bytes: Vec<u8>) -> Body {
    Full::from(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Sends `bytes`, then breaks off.
pub(crate) fn broken(bytes: Vec<u8>) -> Body {
    let chunk = stream::iter([Ok(Frame::data(Bytes::from(bytes)))]);
    let gone = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::ErrorKind::ConnectionReset.into())
    });
    BodyExt::boxed_unsync(StreamBody::new(chunk.chain(gone)))
}

/// Sends a byte ten times a second, for ever.
pub(crate) fn trickling() -> Body {
    let bytes = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok(Frame::data(Bytes::from_static(b"x"))), ()))
    });
    BodyExt::boxed_unsync(StreamBody::new(bytes))
}

/// Sends `bytes`, then nothing more.
pub(crate) fn stalled(bytes: Vec<u8>) -> Body {
    let chunk = stream::iter([Ok(Frame::data(Bytes::from(bytes)))]);
    BodyExt::boxed_unsync(StreamBody::new(chunk.chain(stream::pending())))
}

/// A peer that answers with what `answer` makes; how often it was asked.
pub(crate) async fn evil_counted(
    network: &MemoryNetwork,
    digest: Digest,
    answer: impl Fn(Request<Incoming>) -> Response<Body> + Clone + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    evil_peer(network, digest, move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = answer(request);
        async move { answer }
    })
    .await;
    asked
}

/// A peer that sends `bytes` up to `reach` and then ends as `end` does; how often it was asked.
pub(crate) async fn peer_until(
    network: &MemoryNetwork,
    bytes: &[u8],
    reach: usize,
    end: impl Fn(Vec<u8>) -> Body + Clone + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let bytes = bytes.to_vec();
    evil_counted(network, Digest::sha256(&bytes), move |request| {
        let first = first_byte(&request);
        answer(first, bytes.len(), end(bytes[first..reach.max(first)].to_vec()))
    })
    .await
}
