//! Answers of both endpoints: bodies, headers, and the one place where errors become HTTP.

use bytes::Bytes;
use futures::TryStreamExt;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use serde::Serialize;
use std::{io, ops::Range};
use thiserror::Error;

use crate::{Digest, digest::ParseDigestError, request::BadRequest, store::ByteStream};

/// The body of every answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

const DIGEST_HEADER: &str = "docker-content-digest";
const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");
const SERVER: &str = concat!("onepull/", env!("CARGO_PKG_VERSION"));

/// A request that gets no content, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("this mirror only serves GET and HEAD below /v2/")]
    NotPullApi,
    #[error("the repository or registry name is not valid")]
    Name,
    #[error("{0}")]
    Digest(#[from] ParseDigestError),
    #[error("tags are answered by their registry, never by this mirror")]
    Tag,
    #[error("{0} is not declared on this node: ask its registry")]
    Undeclared(Digest),
    #[error("no manifest {0} on this node or its peers")]
    Manifest(Digest),
    #[error("no blob {0} on this node or its peers")]
    Blob(Digest),
    #[error("this node is not ahead of its follower with {0}")]
    NotAhead(Digest),
    #[error("this node has no upload slot free for {0}")]
    Busy(Digest),
    #[error("this is no message of the peer protocol: {0}")]
    Message(String),
    #[error("only GET and HEAD are allowed")]
    Method,
    #[error("the range starts past the end of the blob, which has {size} bytes")]
    Range { size: u64 },
}

#[derive(Serialize)]
struct ErrorBody {
    errors: [ErrorItem; 1],
}

#[derive(Serialize)]
struct ErrorItem {
    code: &'static str,
    message: String,
}

// === impl Refusal ===

impl Refusal {
    /// Status and error code of the distribution specification.
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotPullApi => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Self::Name => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::Digest(_) => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::Tag | Self::Undeclared(_) | Self::Manifest(_) => {
                (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN")
            }
            Self::Blob(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID"),
            Self::NotAhead(_) => (StatusCode::CONFLICT, "UNSUPPORTED"),
            Self::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "TOOMANYREQUESTS"),
            Self::Message(_) => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
        }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let (status, code) = self.status();
        let body = ErrorBody { errors: [ErrorItem { code, message: self.to_string() }] };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = respond(status, full(body.into()));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        match self {
            Self::Method => {
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(header::ALLOW, allow);
            }
            Self::Range { size } => content_range(&mut response, &format!("bytes */{size}")),
            _ => {}
        }
        response
    }
}

impl From<BadRequest> for Refusal {
    fn from(error: BadRequest) -> Self {
        match error {
            BadRequest::NotPullApi => Self::NotPullApi,
            BadRequest::Name => Self::Name,
            BadRequest::Digest(error) => Self::Digest(error),
        }
    }
}

/// An answer with a blob's bytes, whole (200) or in part (206).
pub(crate) fn blob(
    digest: &Digest,
    total: u64,
    part: Option<Range<u64>>,
    body: Body,
) -> Response<Body> {
    let (status, length) = match &part {
        None => (StatusCode::OK, total),
        Some(part) => (StatusCode::PARTIAL_CONTENT, part.end - part.start),
    };
    let mut response = respond(status, body);
    if let Some(part) = part {
        content_range(&mut response, &format!("bytes {}-{}/{total}", part.start, part.end - 1));
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, OCTET_STREAM);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    content_digest(&mut response, digest);
    response
}

/// An answer with a manifest.
pub(crate) fn manifest(digest: &Digest, media_type: &str, bytes: Bytes) -> Response<Body> {
    let length = bytes.len();
    described(digest, media_type, length, full(bytes))
}

/// An answer that says what a GET of the manifest would bring.
pub(crate) fn manifest_head(digest: &Digest, media_type: &str, length: usize) -> Response<Body> {
    described(digest, media_type, length, empty())
}

fn described(digest: &Digest, media_type: &str, length: usize, body: Body) -> Response<Body> {
    let mut response = respond(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    if let Ok(media_type) = media_type.parse() {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    content_digest(&mut response, digest);
    response
}

/// The answer to `/v2/`: yes, a registry.
pub(crate) fn base() -> Response<Body> {
    let mut response = respond(StatusCode::OK, full(Bytes::from_static(b"{}")));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let version = HeaderValue::from_static("registry/2.0");
    headers.insert("docker-distribution-api-version", version);
    response
}

/// An answer of the peer protocol.
pub(crate) fn message(json: Vec<u8>) -> Response<Body> {
    let mut response = respond(StatusCode::OK, full(json.into()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A body of what a store or a peer streams.
pub(crate) fn streamed(stream: ByteStream) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(stream.map_ok(Frame::data)))
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn respond(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static(SERVER));
    response
}

fn content_range(response: &mut Response<Body>, value: &str) {
    if let Ok(value) = value.parse() {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

fn content_digest(response: &mut Response<Body>, digest: &Digest) {
    if let Ok(value) = digest.to_string().parse() {
        response.headers_mut().insert(DIGEST_HEADER, value);
    }
}
