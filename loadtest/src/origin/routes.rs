//! What the origin answers: its image's manifest by tag and by digest, and its blobs.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Frame,
    header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE},
};
use onepull_mirror::{Digest, store::open_file};

use super::{Fault, Shared, body};

/// The repository that an origin serves.
pub const REPOSITORY: &str = "loadtest/image";
/// The one tag in it.
pub const TAG: &str = "latest";

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Answers one request.
pub(super) async fn answer<B>(shared: &Arc<Shared>, request: &Request<B>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let path = request.uri().path();
    let Some(rest) = path.strip_prefix("/v2/") else { return empty(StatusCode::NOT_FOUND) };
    if rest.is_empty() {
        return empty(StatusCode::OK);
    }
    let Some(rest) = rest.strip_prefix(REPOSITORY) else { return empty(StatusCode::NOT_FOUND) };
    let manifest = shared.image.manifest;
    if let Some(reference) = rest.strip_prefix("/manifests/") {
        return match reference {
            reference if reference == TAG || reference == manifest.to_string() => {
                blob(shared, request, manifest, &shared.image.media_type, None).await
            }
            _ => empty(StatusCode::NOT_FOUND),
        };
    }
    match rest.strip_prefix("/blobs/").map(str::parse::<Digest>) {
        Some(Ok(digest)) if shared.image.sizes.contains_key(&digest) => {
            let fault = if request.method() == Method::GET { shared.faults.next() } else { None };
            if let Some(Fault::Status(status)) = fault {
                return empty(status);
            }
            blob(shared, request, digest, "application/octet-stream", fault).await
        }
        _ => empty(StatusCode::NOT_FOUND),
    }
}

async fn blob<B>(
    shared: &Arc<Shared>,
    request: &Request<B>,
    digest: Digest,
    media_type: &str,
    fault: Option<Fault>,
) -> Response<Body> {
    let (file, size) = match open_file(&shared.image.blob(&digest)).await {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(%digest, %error, "the origin cannot read its own blob");
            return empty(StatusCode::INTERNAL_SERVER_ERROR);
        }
    };
    let asked = request.headers().get(RANGE).map(|range| range.to_str().unwrap_or_default());
    let (status, range) = match asked.map(|range| parse_range(range, size)) {
        None => (StatusCode::OK, 0..size),
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(None) => return empty(StatusCode::RANGE_NOT_SATISFIABLE),
    };
    let mut response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, media_type)
        .header(CONTENT_LENGTH, range.end - range.start)
        .header(ACCEPT_RANGES, "bytes")
        .header("docker-content-digest", digest.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        response = response.header(CONTENT_RANGE, range);
    }
    let body = match *request.method() {
        Method::HEAD => nothing(),
        _ => {
            let bytes = body::stream(Arc::clone(shared), file, range, fault);
            BodyExt::boxed_unsync(StreamBody::new(bytes.map_ok(Frame::data)))
        }
    };
    response.body(body).unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

/// `bytes=FIRST-` or `bytes=FIRST-LAST` within a blob of `size` bytes.
fn parse_range(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = match last {
        "" => size,
        last => last.parse::<u64>().ok()?.checked_add(1)?.min(size),
    };
    (first < end).then_some(first..end)
}

fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(nothing());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_blob_or_refused() {
        assert_eq!(parse_range("bytes=0-", 10), Some(0..10));
        assert_eq!(parse_range("bytes=3-4", 10), Some(3..5));
        assert_eq!(parse_range("bytes=3-99", 10), Some(3..10));
        for refused in ["bytes=10-", "bytes=5-4", "bytes=-5", "3-4", "bytes=0-18446744073709551615"]
        {
            let _ = parse_range(refused, 10);
        }
        assert_eq!(parse_range("bytes=10-", 10), None);
        assert_eq!(parse_range("bytes=5-4", 10), None);
        assert_eq!(parse_range("3-4", 10), None);
    }
}
