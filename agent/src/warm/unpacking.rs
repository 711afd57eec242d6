//! Has the runtime unpack an image's layers, in their order, while later ones still arrive.
//!
//! The runtime's pull would unpack all of them after the last has come. What cannot be unpacked here, it
//! still does, and it alone says whether the image is right.

use onepull_mirror::{Digest, Store, Warm, store::Presence};
use tracing::debug;

use super::{contents::diffs, plan::Plan};
use crate::runtime::Runtime;

/// An image being unpacked.
pub(crate) struct Unpacking<'a> {
    pub(crate) runtime: &'a dyn Runtime,
    pub(crate) store: &'a dyn Store,
    pub(crate) warm: &'a Warm,
    pub(crate) plan: &'a Plan,
}

// === impl Unpacking ===

impl Unpacking<'_> {
    /// Returns when all layers are unpacked, or one could not be.
    pub(crate) async fn run(self) {
        self.is_complete(self.plan.config()).await;
        let config = self.warm.local_manifest(self.plan.config()).await;
        let diffs = config.and_then(|config| diffs(&config)).unwrap_or_default();
        for layer in self.plan.unpacked(&diffs) {
            self.is_complete(&layer.layer).await;
            if let Err(error) = self.runtime.unpack(&layer).await {
                debug!(layer = %layer.layer, %error, "left to the pull to be unpacked");
                return;
            }
        }
    }

    async fn is_complete(&self, blob: &Digest) {
        let mut presence = self.store.follow(blob);
        // A store that ends, ends everything.
        let _ = presence.wait_for(|now| now.is_some_and(Presence::is_complete)).await;
    }
}
