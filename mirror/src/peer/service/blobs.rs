//! Blobs for peers: complete ones for everybody, arriving ones for those who follow this node.

use std::{io, net::SocketAddr, sync::Arc};

use futures::{StreamExt, stream};
use http::{
    HeaderMap, Method, Response,
    header::{self, AsHeaderName},
    request::Parts,
};
use tokio::{
    sync::watch,
    time::{Duration, Instant, timeout},
};
use tracing::debug;

use super::{PeerService, uploads::Slot};
use crate::{
    Digest,
    participant::Serving,
    peer::FOLLOWER,
    range::{ByteRange, Span},
    response::{self, Body, Refusal},
    server::ByKernel,
    store::{ByteStream, Presence, limited},
};

/// How long a follower that has as much as this node waits for it to be ahead. Nodes that were sent
/// behind each other, by two coordinators, wait no longer than that.
const ABREAST: Duration = Duration::from_millis(500);

/// A blob that is complete and no larger than this, as manifests are, takes no slot: it is sent before
/// whoever was refused would ask again. And whatever is no longer than this leaves with its answer's head,
/// not by the kernel after it.
const SMALL: u64 = 64 * 1024;

impl PeerService {
    pub(super) async fn blob(
        &self,
        digest: Digest,
        request: &Parts,
    ) -> Result<Response<Body>, Refusal> {
        let (headers, head) = (&request.headers, request.method == Method::HEAD);
        let range = ByteRange::parse(text(headers, header::RANGE));
        let follower = text(headers, FOLLOWER).and_then(|node| node.parse().ok());
        let complete = self.complete(&digest).await;
        if complete.is_none() {
            self.doubts.forget(&digest);
        } else if self.doubts.is_damaged(&digest) {
            return Err(Refusal::Blob(digest));
        }
        let (size, slot) = match (complete, follower) {
            (Some(size), _) if head || size <= SMALL => (size, None),
            (Some(size), _) => (size, Some(self.slot(digest, follower)?)),
            (None, Some(node)) if !head => {
                let slot = self.slot(digest, follower)?;
                (self.arriving(&digest, range, node).await?, Some(slot))
            }
            (None, _) => return Err(Refusal::Blob(digest)),
        };
        let part = match range.of(size) {
            Span::Whole => None,
            Span::Part(part) => Some(part),
            Span::Unsatisfiable => return Err(Refusal::Range { size }),
        };
        if head {
            return Ok(response::blob(&digest, size, part, response::empty()));
        }
        let wanted = part.clone().unwrap_or(0..size);
        let serving = follower.and_then(|_| self.participant.serving(&digest));
        let bytes =
            self.participant.relay().open(&digest, wanted.start).await.map_err(|error| {
                debug!(%digest, %error, "cannot be opened");
                Refusal::Blob(digest)
            })?;
        let length = wanted.end - wanted.start;
        let by_kernel = length > SMALL && request.extensions.get::<ByKernel>().is_some();
        let bytes = if by_kernel { bytes.lent() } else { bytes.boxed() };
        let bytes = limited(bytes, length);
        let bytes = if serving.is_some() { self.while_it_comes(digest, bytes) } else { bytes };
        let bytes = self.metered(bytes, serving);
        let bytes = match slot {
            Some(slot) => slot.hold(bytes),
            None => bytes,
        };
        Ok(response::blob(&digest, size, part, response::streamed(bytes)))
    }

    fn slot(&self, digest: Digest, follower: Option<SocketAddr>) -> Result<Slot, Refusal> {
        let slot = self.uploads.admit(digest, follower, Instant::now());
        slot.ok_or_else(|| {
            self.metrics.uploads_refused.inc();
            Refusal::Busy(digest)
        })
    }

    async fn complete(&self, digest: &Digest) -> Option<u64> {
        self.store.stat(digest).await.ok().flatten()?.complete()
    }

    /// The size of a blob that is arriving, once this node is ahead of its follower.
    ///
    /// Who has bytes already must be behind, now or in a moment: so nodes that follow each other in a
    /// circle, sent by two coordinators, do not wait for each other. Who has none waits for this node's
    /// first ones, unless this node waits for it, and as long as this node waits for them itself.
    async fn arriving(
        &self,
        digest: &Digest,
        range: ByteRange,
        follower: SocketAddr,
    ) -> Result<u64, Refusal> {
        let first = range.first().ok_or(Refusal::Blob(*digest))?;
        if self.participant.parent_of(digest) == Some(follower) {
            return Err(Refusal::NotAhead(*digest));
        }
        let mut presence = self.store.follow(digest);
        let relay = self.participant.relay();
        let stored = ahead(*presence.borrow_and_update(), first);
        let size = stored.or_else(|| ahead(relay.presence(digest), first));
        match size {
            Some(size) => Ok(size),
            None => {
                let (patience, refusal) = match first {
                    0 => (self.arrival, Refusal::Blob(*digest)),
                    _ => (ABREAST, Refusal::NotAhead(*digest)),
                };
                tokio::select! {
                    biased;
                    arrived = timeout(patience, arrived(presence, first)) => {
                        arrived.ok().flatten().ok_or(refusal)
                    }
                    size = relay.passes(digest, first) => Ok(size),
                    () = self.participant.is_sent_away(digest) => Err(Refusal::NotAhead(*digest)),
                }
            }
        }
    }

    /// What is here of a blob, and what comes as long as this node takes part in it: its followers do not
    /// wait for what its runtime has given up.
    fn while_it_comes(&self, digest: Digest, bytes: ByteStream) -> ByteStream {
        let participant = Arc::clone(&self.participant);
        let gone = Box::pin(async move { participant.is_sent_away(&digest).await });
        let coming = stream::unfold(Some((bytes, gone)), |open| async {
            let (mut bytes, mut gone) = open?;
            tokio::select! {
                biased;
                next = bytes.next() => Some((next?, Some((bytes, gone)))),
                () = &mut gone => Some((Err(io::Error::other("this node has given it up")), None)),
            }
        });
        coming.boxed()
    }

    fn metered(&self, bytes: ByteStream, serving: Option<Serving>) -> ByteStream {
        let metrics = self.metrics.clone();
        let upload = self.upload.clone();
        let metered = bytes.then(move |chunk| {
            let _ = &serving;
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

/// The blob's size, once its store has byte `first`; `None` when it never will.
async fn arrived(mut presence: watch::Receiver<Option<Presence>>, first: u64) -> Option<u64> {
    let now = *presence.wait_for(|now| ahead(*now, first).is_some()).await.ok()?;
    ahead(now, first)
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The blob's size, if a node with this much of it has byte `first`.
fn ahead(presence: Option<Presence>, first: u64) -> Option<u64> {
    match presence? {
        Presence::Complete { size } => Some(size),
        Presence::Growing { have, total } => total.filter(|_| have > first),
    }
}
