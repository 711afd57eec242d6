//! The peer endpoint: what this node's own store holds, for other nodes.

use std::sync::Arc;

use futures::StreamExt;
use http::{Method, Request, Response, header};
use tracing::debug;

use super::PREFIX;
use crate::{
    Digest, Store,
    metrics::Metrics,
    range::{ByteRange, Span},
    response::{self, Body, Refusal},
    store::{ByteStream, limited},
    throttle::Throttle,
};

/// Serves peers from the local store, and only from there.
#[derive(Clone)]
pub struct PeerService {
    store: Arc<dyn Store>,
    metrics: Metrics,
    upload: Option<Arc<Throttle>>,
}

impl PeerService {
    /// Serves `store`; all uploads together stay below `upload`.
    pub fn new(store: Arc<dyn Store>, metrics: Metrics, upload: Option<Arc<Throttle>>) -> Self {
        Self { store, metrics, upload }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        self.try_answer(&request).await.unwrap_or_else(Refusal::into_response)
    }

    async fn try_answer<B>(&self, request: &Request<B>) -> Result<Response<Body>, Refusal> {
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Refusal::Method),
        };
        let digest = request.uri().path().strip_prefix(PREFIX).ok_or(Refusal::NotPullApi)?;
        let digest: Digest = digest.parse()?;
        let size = self.size(&digest).await.ok_or(Refusal::Blob(digest))?;
        let range = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
        let part = match ByteRange::parse(range).of(size) {
            Span::Whole => None,
            Span::Part(part) => Some(part),
            Span::Unsatisfiable => return Err(Refusal::Range { size }),
        };
        if head {
            return Ok(response::blob(&digest, size, part, response::empty()));
        }
        let wanted = part.clone().unwrap_or(0..size);
        let bytes = self.store.open(&digest, wanted.start).await.map_err(|error| {
            debug!(%digest, %error, "cannot be opened");
            Refusal::Blob(digest)
        })?;
        let bytes = self.metered(limited(bytes, wanted.end - wanted.start));
        Ok(response::blob(&digest, size, part, response::streamed(bytes)))
    }

    async fn size(&self, digest: &Digest) -> Option<u64> {
        self.store.stat(digest).await.ok().flatten()?.complete()
    }

    fn metered(&self, bytes: ByteStream) -> ByteStream {
        let metrics = self.metrics.clone();
        let upload = self.upload.clone();
        let metered = bytes.then(move |chunk| {
            let (metrics, upload) = (metrics.clone(), upload.clone());
            async move {
                let chunk = chunk?;
                if let Some(upload) = upload {
                    upload.take(chunk.len()).await;
                }
                metrics.sent_to_peers.inc_by(chunk.len() as u64);
                Ok(chunk)
            }
        });
        metered.boxed()
    }
}
