//! Keeps the books of the mirror: what was sent, from where, and what was left to the registry.

use std::sync::Arc;

use futures::StreamExt;
use tokio::time::Instant;
use tracing::{error, warn};

use super::{Delivery, Inner};
use crate::{Digest, fetch::is_mismatch, metrics::Origin, request::Name, store::ByteStream};

/// One answer's bytes; accounted for when the answer ends, however it ends.
struct Open {
    mirror: Arc<Inner>,
    name: Name,
    digest: Digest,
    origin: Origin,
    first: u64,
    bytes: u64,
}

impl Inner {
    pub(super) fn hit(&self, name: &Name, origin: Origin) {
        self.metrics.hits.get_or_create(&self.metrics.served(origin, &name.registry)).inc();
    }

    /// A request that was sent to the registry. Where it does not say its first byte (a HEAD, or
    /// `bytes=-N`), it says nothing of what the runtime has either.
    pub(super) fn miss(&self, name: &Name, digest: Digest, first: Option<u64>) {
        self.metrics.misses.get_or_create(&self.metrics.of_registry(&name.registry)).inc();
        if let Some(first) = first {
            self.tell(name, digest, first, 0);
        }
    }

    pub(super) fn sent(&self, name: &Name, digest: Digest, origin: Origin, first: u64, bytes: u64) {
        let labels = self.metrics.served(origin, &name.registry);
        self.metrics.sent.get_or_create(&labels).inc_by(bytes);
        if origin == Origin::peer {
            self.tell(name, digest, first, bytes);
        }
    }

    /// Counts a stream's bytes as they pass. When it breaks, the blob is left to the registry.
    pub(super) fn counted(
        self: &Arc<Self>,
        name: &Name,
        digest: Digest,
        origin: Origin,
        first: u64,
        bytes: ByteStream,
    ) -> ByteStream {
        let mirror = Arc::clone(self);
        let mut open = Open { mirror, name: name.clone(), digest, origin, first, bytes: 0 };
        let counted = bytes.inspect(move |chunk| match chunk {
            Ok(chunk) => open.bytes += chunk.len() as u64,
            Err(error) => {
                open.mirror.left_to_registry.insert(digest, (), Instant::now());
                if is_mismatch(error) {
                    open.mirror.drop_copy(digest);
                }
            }
        });
        counted.boxed()
    }

    /// Drops the runtime's unfinished copy. The runtime, whose answer ends now, does not wait for
    /// itself to do so.
    fn drop_copy(&self, digest: Digest) {
        warn!(%digest, "peers sent wrong bytes; the runtime's unfinished copy is dropped");
        let store = Arc::clone(&self.store);
        self.tasks.spawn(async move {
            if let Err(error) = store.abort(&digest).await {
                error!(%digest, %error, "the wrong copy cannot be dropped; the next pull may fail");
            }
        });
    }

    fn tell(&self, name: &Name, digest: Digest, first: u64, bytes: u64) {
        let registry = Some(name.registry.clone());
        // A full queue costs accuracy of a counter, never a request.
        let _ = self.deliveries.try_send(Delivery { digest, registry, first, bytes });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.mirror.sent(&self.name, self.digest, self.origin, self.first, self.bytes);
    }
}
