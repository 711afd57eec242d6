//! Answers from peers.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tracing::debug;

use super::Inner;
use crate::{
    Digest,
    fetch::Want,
    manifest::LARGEST_MANIFEST,
    metrics::Origin,
    range::{ByteRange, Span},
    request::Name,
    response::{self, Body, Refusal},
};

impl Inner {
    pub(super) async fn peer_manifest(&self, name: &Name, digest: Digest) -> Option<Bytes> {
        let want = Want { digest, first: 0, end: None, registry: name.registry.clone() };
        match self.fetcher.whole(want, LARGEST_MANIFEST).await {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                debug!(%digest, %error, "no manifest from peers");
                None
            }
        }
    }

    pub(super) async fn peer_size(&self, name: &Name, digest: Digest) -> Result<u64, Refusal> {
        self.fetcher.size(&digest).await.map_err(|error| {
            debug!(%digest, %error, "no peer tells its size");
            self.miss(name, digest, 0);
            Refusal::Blob(digest)
        })
    }

    /// A blob, or a range of it, from peers.
    ///
    /// `bytes=0-` is answered with the whole (200): a runtime that fetches a layer in parallel
    /// ranges then takes it as one stream, which can be hashed, instead of many that cannot.
    pub(super) async fn peer_blob(
        self: &Arc<Self>,
        name: &Name,
        digest: Digest,
        range: ByteRange,
    ) -> Result<Response<Body>, Refusal> {
        let (range, first, end) = match range {
            ByteRange::Whole | ByteRange::From(0) => (ByteRange::Whole, 0, None),
            ByteRange::From(first) => (range, first, None),
            ByteRange::Between(first, last) => (range, first, last.checked_add(1)),
            // Where the last bytes start is known only with the size.
            ByteRange::Last(_) => {
                let size = self.peer_size(name, digest).await?;
                match range.of(size) {
                    Span::Part(part) => (range, part.start, Some(part.end)),
                    Span::Whole => (range, 0, None),
                    Span::Unsatisfiable => return Err(Refusal::Range { size }),
                }
            }
        };
        let want = Want { digest, first, end, registry: name.registry.clone() };
        let fetched = self.fetcher.stream(want).await.map_err(|error| {
            debug!(%digest, %error, "no blob from peers");
            self.miss(name, digest, first);
            Refusal::Blob(digest)
        })?;
        let part = match range.of(fetched.total) {
            Span::Whole => None,
            Span::Part(part) => Some(part),
            Span::Unsatisfiable => return Err(Refusal::Range { size: fetched.total }),
        };
        self.hit(name, Origin::peer);
        let bytes = self.counted(name, digest, Origin::peer, first, fetched.bytes);
        Ok(response::blob(&digest, fetched.total, part, response::streamed(bytes)))
    }
}
