//! How far one node is, from its NodeImageCache. Pure.

use onepull_api::{HeldImage, NodeImageCache, NodeImageState, Source};

/// What a node is to hold, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Images that it is told to hold.
    pub(super) told: usize,
    /// Of these, those that it holds.
    pub(super) warm: usize,
    /// Of these, those that it is told to get from the registry.
    pub(super) seeds: usize,
    /// The state of the first image that it does not hold; of the last one if it holds all.
    pub(super) state: Option<NodeImageState>,
    /// What is wrong, or for what it waits.
    pub(super) reason: Option<String>,
    /// Bytes that are here, and that all images have together as far as that is known.
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) from_upstream: u64,
    pub(super) from_peers: u64,
}

// === impl View ===

impl View {
    pub(super) fn of(object: &NodeImageCache) -> Self {
        let held = object.status.as_ref().map_or(&[][..], |status| &status.images);
        let report = |digest: &str| held.iter().find(|held| held.digest == digest);
        let images = &object.spec.images;
        let reports: Vec<_> = images.iter().filter_map(|image| report(&image.digest)).collect();
        let is_warm = |held: &&HeldImage| held.state == NodeImageState::Warm;
        let sum = |bytes: fn(&HeldImage) -> u64| reports.iter().map(|held| bytes(held)).sum();
        let now = reports.iter().find(|held| !is_warm(held)).or(reports.last());
        Self {
            told: images.len(),
            warm: reports.iter().copied().filter(is_warm).count(),
            seeds: images.iter().filter(|image| image.source == Source::Upstream).count(),
            state: now.map(|held| held.state),
            reason: now.and_then(|held| held.reason).map(|reason| reason.to_string()),
            done: sum(|held| held.bytes_done),
            total: sum(|held| held.bytes_total.unwrap_or_default()),
            from_upstream: sum(|held| held.bytes_from_upstream),
            from_peers: sum(|held| held.bytes_from_peers),
        }
    }

    /// Whether it holds everything that it was told, and was told as many as `images`.
    pub(super) fn is_warm(&self, images: usize) -> bool {
        self.told == images && self.warm == images
    }
}

#[cfg(test)]
mod tests {
    use onepull_api::{DesiredImage, NodeImageCacheSpec, NodeImageCacheStatus, NodeReason};

    use super::*;

    fn object(reports: &[(&str, NodeImageState)]) -> NodeImageCache {
        let digest = |of: &str| format!("sha256:{of}");
        let image =
            |of: &str, source| DesiredImage { digest: digest(of), source, ..Default::default() };
        let images = vec![image("a", Source::Upstream), image("b", Source::Peers)];
        let spec = NodeImageCacheSpec { images, ..Default::default() };
        let held = reports.iter().map(|(of, state)| HeldImage {
            digest: digest(of),
            state: *state,
            reason: (*state == NodeImageState::Waiting).then_some(NodeReason::OtherImagesFirst),
            bytes_total: Some(100),
            bytes_done: 40,
            bytes_from_peers: 30,
            bytes_from_upstream: 10,
            ..Default::default()
        });
        let status = NodeImageCacheStatus { images: held.collect(), ..Default::default() };
        NodeImageCache { status: Some(status), ..NodeImageCache::new("node-1", spec) }
    }

    #[test]
    fn a_node_is_as_far_as_its_images_together_and_in_the_state_of_the_first_that_it_lacks() {
        let states = [("a", NodeImageState::Warm), ("b", NodeImageState::Waiting)];
        let view = View::of(&object(&states));
        let expected = View {
            told: 2,
            warm: 1,
            seeds: 1,
            state: Some(NodeImageState::Waiting),
            reason: Some("OtherImagesFirst".into()),
            done: 80,
            total: 200,
            from_upstream: 20,
            from_peers: 60,
        };
        assert_eq!(view, expected);
    }

    #[test]
    fn what_a_node_says_of_images_that_it_is_not_told_to_hold_does_not_count() {
        let states = [("a", NodeImageState::Warm), ("c", NodeImageState::Warm)];
        let view = View::of(&object(&states));
        assert_eq!((view.told, view.warm, view.is_warm(2)), (2, 1, false));
        let all = View::of(&object(&[("a", NodeImageState::Warm), ("b", NodeImageState::Warm)]));
        assert!(all.is_warm(2) && !all.is_warm(3));
    }
}
