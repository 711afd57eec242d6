//! Keeps the layers of declared images where the runtime drops layers once they are unpacked
//! (containerd's `discard_unpacked_layers`), so that peers can have them.
//!
//! What the warmer writes is under the image's lease from its first byte. What the runtime pulls by
//! itself is not: it gets there by being opened and found complete.

use std::convert::Infallible;

use onepull_mirror::{
    sink::{Part, SinkError},
    store::Presence,
};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{Warmer, image::LOOK, leases::Leases};
use crate::desired::{DesiredImage, DesiredState};

// === impl Warmer ===

impl Warmer {
    /// Has each layer of an image that is being pulled kept when it is there. The runtime drops them at
    /// the earliest when the pull is done.
    pub(super) async fn keep_what_comes(&self, image: &DesiredImage) -> Infallible {
        let mut left = self.parts(image);
        while !left.is_empty() {
            let mut still = Vec::new();
            for part in left {
                if !self.keeps(&part).await {
                    still.push(part);
                }
            }
            left = still;
            sleep(LOOK).await;
        }
        std::future::pending().await
    }

    /// Has those kept that are there, also after a pull that was too short to be looked at.
    pub(super) async fn keep(&self, image: &DesiredImage) {
        self.learn(image).await;
        for part in self.parts(image) {
            self.keeps(&part).await;
        }
    }

    /// Ends the leases of images that are not declared, those of earlier runs included.
    pub(super) async fn end_leases(&self, desired: &DesiredState, leases: &mut Leases) {
        leases.adopt(desired);
        if leases.is_to_list(desired, Instant::now()) {
            match self.0.sink.kept().await {
                Ok(images) => leases.found(images),
                Err(error) => {
                    warn!(%error, "layers of images that are no longer declared may stay in the store");
                    leases.failed(Instant::now());
                }
            }
        }
        for image in leases.to_end(desired, Instant::now()) {
            match self.0.sink.release(&image).await {
                Ok(()) => leases.ended(&image),
                Err(error) => {
                    warn!(%image, %error, "its layers stay in the store for now");
                    leases.failed(Instant::now());
                    // The others would fail as well, each after its deadline.
                    return;
                }
            }
        }
    }

    /// What the runtime may drop; nothing while it is not known what the image consists of.
    fn parts(&self, image: &DesiredImage) -> Vec<Part> {
        self.0.board.plan(image).map(|plan| plan.blobs()).unwrap_or_default()
    }

    /// Whether the lease keeps it now.
    async fn keeps(&self, part: &Part) -> bool {
        let presence = self.0.store.stat(&part.digest).await.ok().flatten();
        if !matches!(presence, Some(Presence::Complete { .. })) {
            return false;
        }
        let left = match self.0.sink.open(part).await {
            Err(SinkError::Complete(_)) => return true,
            // It went this moment; an empty beginning of it is of no use.
            Ok(writer) => writer.abort().await.err(),
            Err(error) => Some(error),
        };
        if let Some(error) = left {
            warn!(image = %part.image, %error, "a layer is not kept for peers");
        }
        false
    }
}
