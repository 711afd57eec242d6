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
    response::{self, Body},
};

impl Inner {
    pub(super) async fn peer_manifest(
        &self,
        name: &Name,
        digest: Digest,
        kept: bool,
    ) -> Option<Bytes> {
        let registry = name.registry.clone();
        let (end, size, may_lead, patient) = (None, None, true, false);
        let want = Want { digest, first: 0, end, size, kept, may_lead, patient, registry };
        let fetched = self.fetcher.whole(want, LARGEST_MANIFEST).await;
        fetched.inspect_err(|error| debug!(%digest, %error, "no manifest from peers")).ok()
    }

    pub(super) async fn peer_size(&self, digest: &Digest) -> Option<u64> {
        let size = self.fetcher.size(digest).await;
        size.inspect_err(|error| debug!(%digest, %error, "no peer tells its size")).ok()
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
    ) -> Option<Response<Body>> {
        let (range, first, end, size) = match range {
            ByteRange::Whole | ByteRange::From(0) => (ByteRange::Whole, 0, None, None),
            ByteRange::From(first) => (range, first, None, None),
            ByteRange::Between(first, last) => (range, first, last.checked_add(1), None),
            // Where the last bytes start is known only with the size.
            ByteRange::Last(_) => {
                let size = self.peer_size(&digest).await?;
                let Span::Part(part) = range.of(size) else { return None };
                (range, part.start, Some(part.end), Some(size))
            }
        };
        let (kept, registry) = (name.by_containerd && end.is_none(), name.registry.clone());
        let (may_lead, patient) = (true, kept && self.may_ask_again(&digest));
        let want = Want { digest, first, end, size, kept, may_lead, patient, registry };
        let fetched = self.fetcher.stream(want).await;
        let fetched =
            fetched.inspect_err(|error| debug!(%digest, %error, "no blob from peers")).ok()?;
        let part = match range.of(fetched.total) {
            Span::Whole => None,
            Span::Part(part) => Some(part),
            // A size is only a peer's word, so the registry decides what cannot be satisfied.
            Span::Unsatisfiable => return None,
        };
        self.hit(name, Origin::peer);
        let mut bytes = self.counted(name, digest, Origin::peer, first, fetched.bytes);
        if kept {
            bytes = self.while_moving(digest, first, fetched.total, bytes);
        }
        Some(response::blob(&digest, fetched.total, part, response::streamed(bytes)))
    }
}
