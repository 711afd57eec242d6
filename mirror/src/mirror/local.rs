//! Answers from this node's own store.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use http::Response;
use tracing::debug;

use super::Inner;
use crate::{
    Digest,
    digest::Verifier,
    manifest::LARGEST_MANIFEST,
    metrics::Origin,
    range::{ByteRange, Span},
    request::Name,
    response::{self, Body, Refusal},
    store::limited,
};

impl Inner {
    /// The size of a blob that is complete here. A store that cannot tell counts as empty.
    pub(super) async fn local_size(&self, digest: &Digest) -> Option<u64> {
        match self.store.stat(digest).await {
            Ok(presence) => presence?.complete(),
            Err(error) => {
                debug!(%digest, %error, "the local store cannot tell");
                None
            }
        }
    }

    /// A manifest is small, so it is checked: one that rotted here comes from elsewhere.
    pub(crate) async fn local_manifest(&self, digest: &Digest) -> Option<Bytes> {
        self.local_size(digest).await.filter(|size| *size <= LARGEST_MANIFEST)?;
        let bytes = self.store.open(digest, 0).await.ok()?;
        let bytes: BytesMut = bytes.try_collect().await.ok()?;
        let mut verifier = Verifier::new(*digest);
        verifier.update(&bytes);
        verifier.matches().then(|| bytes.freeze())
    }

    /// `None` when the blob went away between asking and opening.
    pub(super) async fn local_blob(
        self: &Arc<Self>,
        name: &Name,
        digest: Digest,
        size: u64,
        range: ByteRange,
    ) -> Result<Option<Response<Body>>, Refusal> {
        let part = match range.of(size) {
            Span::Whole => None,
            Span::Part(part) => Some(part),
            Span::Unsatisfiable => return Err(Refusal::Range { size }),
        };
        let wanted = part.clone().unwrap_or(0..size);
        let bytes = match self.store.open(&digest, wanted.start).await {
            Ok(bytes) => limited(bytes, wanted.end - wanted.start),
            Err(error) => {
                debug!(%digest, %error, "cannot be opened");
                return Ok(None);
            }
        };
        self.hit(name, Origin::local);
        let bytes = self.counted(name, digest, Origin::local, wanted.start, bytes);
        Ok(Some(response::blob(&digest, size, part, response::streamed(bytes))))
    }
}
