//! Takes an image's layers in the order of its manifest, as all nodes do.
//!
//! containerd asks for the layers of an image in any order, three at a time. If each node had another
//! three under way, the registry would send all of them at once, and no node could take it all: with
//! four layers a fourth of its link would lie idle. So a layer whose turn has not come gives its slot
//! back (ADR 15).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::{Duration, Instant, timeout};

use super::{
    Inner,
    turn::{LEAST, REMEMBERED, TURNS},
};
use crate::{
    Digest,
    manifest::{Descriptor, Manifest},
    recent::Recent,
    store::Presence,
};

/// Layers of an image that may be under way: as many as containerd has slots.
pub(super) const UNDER_WAY: usize = 3;

/// Manifests that came from the registry and were not read yet; one is, with the first layer of it.
const UNREAD: usize = 16;

/// How long the first layer waits for the store to notice the manifest that the runtime has just
/// written there: no longer than a claim that nobody answers.
const NOTICED: Duration = Duration::from_millis(18);

/// What is known of the order of layers.
#[derive(Debug)]
pub(super) struct Order {
    /// For a layer, its image.
    images: Recent<Digest, Arc<Image>>,
    /// Layers that the runtime has asked for, and when.
    asked: Recent<Digest, Instant>,
    unread: Mutex<VecDeque<Digest>>,
}

#[derive(Debug)]
struct Image {
    /// Those whose order matters, in their order.
    layers: Vec<Digest>,
    /// Its manifest came past the mirror, so its layers could not be reserved.
    passed_by: bool,
}

/// The layers of an image whose order matters, in their order.
pub(super) fn large_layers(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    manifest.children.iter().filter(|child| child.size >= LEAST)
}

// === impl Order ===

impl Order {
    pub(super) fn new() -> Self {
        let (images, asked) = (Recent::new(REMEMBERED, TURNS), Recent::new(REMEMBERED, TURNS));
        Self { images, asked, unread: Mutex::default() }
    }

    /// A manifest comes from the registry, past the mirror.
    pub(super) fn passed_by(&self, manifest: Digest) {
        let mut unread = self.unread();
        if unread.len() == UNREAD {
            unread.pop_front();
        }
        unread.push_back(manifest);
    }

    /// These were not read after all. They came before what has passed by since; where there is no
    /// place for all, the oldest go, as ever.
    fn put_back(&self, manifests: VecDeque<Digest>) {
        let mut unread = self.unread();
        let free = UNREAD.saturating_sub(unread.len());
        for manifest in manifests.into_iter().rev().take(free) {
            unread.push_front(manifest);
        }
    }

    /// Whether the runtime has asked for a layer since then.
    pub(super) fn was_asked_for(&self, layer: &Digest, since: Instant) -> bool {
        self.asked.get(layer, Instant::now()).is_some_and(|asked| asked >= since)
    }

    /// Small layers come and go between the large ones, so their order does not matter.
    fn learn(&self, manifest: &Manifest, passed_by: bool, now: Instant) {
        let layers: Vec<_> = large_layers(manifest).map(|layer| layer.digest).collect();
        if layers.len() > UNDER_WAY {
            let image = Arc::new(Image { layers, passed_by });
            for layer in &image.layers {
                self.images.insert(*layer, Arc::clone(&image), now);
            }
        }
    }

    fn image(&self, layer: &Digest) -> Option<Arc<Image>> {
        self.images.get(layer, Instant::now())
    }

    fn unread(&self) -> MutexGuard<'_, VecDeque<Digest>> {
        // Single insertions and removals.
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// Learns sizes and order of what a manifest names. `passed_by`: it came from the registry.
    pub(super) fn learn(&self, manifest: &Manifest, passed_by: bool) {
        for child in &manifest.children {
            self.fetcher.expect_size(child.digest, child.size);
        }
        self.order.learn(manifest, passed_by, Instant::now());
    }

    /// Whether as many layers as there are slots come before this one and are not here yet. Alone,
    /// a node takes them as they come. A runtime that dropped layers after it unpacked them does not ask
    /// for them again: who comes back only waits for those that were asked for meanwhile.
    pub(super) async fn is_out_of_turn(&self, digest: &Digest) -> bool {
        if self.participant.is_alone(digest) {
            return false;
        }
        let now = Instant::now();
        self.order.asked.insert(*digest, now, now);
        if self.fetcher.known_size(digest).is_none() {
            self.read_manifests().await;
        }
        let Some(image) = self.order.image(digest) else { return false };
        let is_back = self.turns.get(digest, now).is_some();
        let comes = |layer: &&Digest| !is_back || self.order.asked.get(layer, now).is_some();
        let mut missing = 0;
        for layer in image.layers.iter().take_while(|layer| *layer != digest).filter(comes) {
            missing += usize::from(self.local_size(layer).await.is_none());
            // Further ones make no difference, and each is a question to the store.
            if missing == UNDER_WAY {
                return self.local_size(digest).await.is_none();
            }
        }
        false
    }

    /// Whether other nodes take layers of the same image from this one now, or this one from them.
    pub(super) fn is_shared(&self, layer: &Digest) -> bool {
        let image = self.order.image(layer);
        image.is_some_and(|image| image.layers.iter().any(|layer| self.participant.shares(layer)))
    }

    /// Whether the layer's image had its manifest from the registry: others, that had it from this node,
    /// have their layers reserved.
    pub(super) fn has_passed_by(&self, layer: &Digest) -> bool {
        self.order.image(layer).is_some_and(|image| image.passed_by)
    }

    /// Reads what the runtime fetched from the registry. What there is no time for is left to a later
    /// layer: a store that is slow to read from would keep this one for each of them.
    async fn read_manifests(&self) {
        let mut unread = std::mem::take(&mut *self.order.unread());
        let deadline = Instant::now() + NOTICED;
        while Instant::now() < deadline
            && let Some(manifest) = unread.pop_front()
        {
            let mut presence = self.store.follow(&manifest);
            let here = |now: &Option<Presence>| now.is_some_and(Presence::is_complete);
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = timeout(left, presence.wait_for(here)).await;
            match self.local_manifest(&manifest).await {
                Some(bytes) => {
                    _ = Manifest::parse(&bytes).map(|manifest| self.learn(&manifest, true))
                }
                None => self.order.passed_by(manifest),
            }
        }
        self.order.put_back(unread);
    }
}
