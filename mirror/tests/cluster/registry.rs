//! The registry: it sends to everybody who asks, at the pace of a slow link for each.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use onepull_mirror::{
    Metrics,
    response::Body,
    server::{Serving, serve},
};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::{
    image::Image,
    network::{REGISTRY, Socket},
};

/// Bytes sent at a time.
const PIECE: usize = 64 * 1024;

/// Time between two pieces of one answer: a layer of 4 MiB takes 4 s, so that faults find it under way.
const PACE: Duration = Duration::from_millis(62);

/// The registry's host.
pub(crate) async fn run(image: Arc<Image>) -> turmoil::Result {
    let serving = Serving::runtime(Metrics::register(&mut Registry::default()));
    let answer = move |request: Request<hyper::body::Incoming>| {
        let image = Arc::clone(&image);
        async move { answer(&image, &request) }
    };
    serve(Socket::bind(REGISTRY).await?, serving, answer, CancellationToken::new()).await;
    Ok(())
}

fn answer<B>(image: &Image, request: &Request<B>) -> Response<Body> {
    let named = request.uri().path().rsplit('/').next().and_then(|name| name.parse().ok());
    let blob = image.blobs().find(|blob| Some(blob.digest) == named).unwrap();
    let first = first_byte(request);
    let (rest, size) = (blob.bytes.slice(first..), blob.bytes.len());
    let response = Response::builder().header(header::CONTENT_LENGTH, rest.len());
    let response = match first {
        0 => response,
        _ => response
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_RANGE, format!("bytes {first}-{}/{size}", size - 1)),
    };
    response.body(paced(rest)).unwrap()
}

fn first_byte<B>(request: &Request<B>) -> usize {
    let range = request.headers().get(header::RANGE).map(|range| range.to_str().unwrap());
    range.map_or(0, |range| {
        range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
    })
}

fn paced(bytes: Bytes) -> Body {
    let pieces = stream::unfold(bytes, |mut rest| async {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(PACE).await;
        let piece = rest.split_to(PIECE.min(rest.len()));
        Some((Ok::<_, io::Error>(Frame::data(piece)), rest))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}
