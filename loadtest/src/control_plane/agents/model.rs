//! What one agent reports, by the time that has gone by.

use std::{collections::HashMap, time::Duration};

use onepull_api::{
    DesiredImage, Disk, HeldImage, NodeCounts, NodeImageCacheSpec, NodeImageCacheStatus,
    NodeImageState, NodeReason, Source,
};
use tokio::time::Instant;

/// Bytes of every image, as agents tell of them.
const BYTES: u64 = 1 << 30;

/// Bytes of every node's disk.
const DISK: Disk = Disk { capacity_bytes: 1 << 42, available_bytes: 1 << 41 };

/// Progress is told at each of these.
const QUARTERS: u32 = 4;

/// One node, which brings in one image after the other in the order in which it is told of them.
pub(super) struct Model {
    image_time: Duration,
    /// By digest: what was reported last.
    known: HashMap<String, HeldImage>,
    /// The digest that is being brought in, and since when.
    current: Option<(String, Instant)>,
    next: Option<Instant>,
}

// === impl Model ===

impl Model {
    pub(super) fn new(image_time: Duration) -> Self {
        Self { image_time, known: HashMap::new(), current: None, next: None }
    }

    /// When there is something to report if it is told nothing new.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// What it reports now.
    pub(super) fn report(
        &mut self,
        spec: &NodeImageCacheSpec,
        generation: Option<i64>,
        now: Instant,
    ) -> NodeImageCacheStatus {
        let wanted = |digest: &str| spec.images.iter().any(|image| image.digest == digest);
        self.known.retain(|digest, _| wanted(digest));
        self.current = self.current.take().filter(|(digest, _)| wanted(digest));
        self.next = None;
        let images: Vec<HeldImage> =
            spec.images.iter().map(|image| self.image(image, now)).collect();
        let warm = images.iter().filter(|held| held.state == NodeImageState::Warm).count();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        NodeImageCacheStatus {
            observed_generation: generation,
            agent_version: Some(env!("CARGO_PKG_VERSION").into()),
            counts: NodeCounts { desired: count(images.len()), warm: count(warm), failed: 0 },
            disk: Some(DISK),
            images,
            ..NodeImageCacheStatus::default()
        }
    }

    fn image(&mut self, image: &DesiredImage, now: Instant) -> HeldImage {
        let digest = image.digest.clone();
        let was_warm =
            self.known.get(&digest).is_some_and(|known| known.state == NodeImageState::Warm);
        let (state, quarters) = match was_warm {
            true => (NodeImageState::Warm, QUARTERS),
            false => self.advance(&digest, now),
        };
        let bytes = BYTES / u64::from(QUARTERS) * u64::from(quarters);
        let upstream = image.source == Source::Upstream && !was_warm;
        let before = self.known.get(&digest).map_or(0, |known| known.bytes_from_upstream);
        let from_upstream = if upstream { bytes } else { before };
        let mut held = HeldImage {
            name: image.refs.first().cloned().unwrap_or_default(),
            digest: digest.clone(),
            generation: image.generation,
            state,
            since: None,
            reason: (state == NodeImageState::Waiting).then_some(NodeReason::OtherImagesFirst),
            message: None,
            bytes_total: (state != NodeImageState::Waiting).then_some(BYTES),
            bytes_done: bytes,
            bytes_from_upstream: from_upstream,
            bytes_from_peers: bytes - from_upstream,
            blobs_complete: state == NodeImageState::Warm,
        };
        held.since = match self.known.get(&digest) {
            Some(known) if HeldImage { since: None, ..known.clone() } == held => {
                known.since.clone()
            }
            _ => serde_json::from_value(wall_clock()).ok(),
        };
        self.known.insert(digest, held.clone());
        held
    }

    /// How far an image is that is not warm yet.
    fn advance(&mut self, digest: &str, now: Instant) -> (NodeImageState, u32) {
        let began = match &self.current {
            Some((current, began)) if current == digest => *began,
            Some(_) => return (NodeImageState::Waiting, 0),
            None => now,
        };
        let quarter = self.image_time / QUARTERS;
        let passed = now.duration_since(began).as_millis() / quarter.as_millis().max(1);
        let quarters = u32::try_from(passed).unwrap_or(QUARTERS).min(QUARTERS);
        if quarters == QUARTERS {
            self.current = None;
            return (NodeImageState::Warm, QUARTERS);
        }
        self.current = Some((digest.to_owned(), began));
        self.next = Some(began + quarter * (quarters + 1));
        (NodeImageState::Warming, quarters)
    }
}

fn wall_clock() -> serde_json::Value {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(digests: &[&str]) -> NodeImageCacheSpec {
        let image = |digest: &&str| DesiredImage {
            refs: vec![format!("r.example/{digest}:v1")],
            digest: (*digest).to_owned(),
            source: Source::Peers,
            generation: 1,
            caches: Vec::new(),
        };
        NodeImageCacheSpec { images: digests.iter().map(image).collect(), ..Default::default() }
    }

    #[test]
    fn one_image_comes_after_the_other_and_each_is_reported_at_most_eight_times() {
        let (mut model, spec, start) =
            (Model::new(Duration::from_secs(8)), told(&["a", "b"]), Instant::now());
        let (mut now, mut reports) = (start, Vec::new());
        loop {
            let status = model.report(&spec, Some(2), now);
            let bytes: u64 = status.images.iter().map(|held| held.bytes_done).sum();
            let at = now.duration_since(start).as_secs();
            reports.push((at, status.counts.warm, bytes * 4 / BYTES));
            match model.next() {
                Some(next) => now = next,
                None => break,
            }
        }
        let expected = [
            (0, 0, 0),
            (2, 0, 1),
            (4, 0, 2),
            (6, 0, 3),
            (8, 1, 4),
            (10, 1, 5),
            (12, 1, 6),
            (14, 1, 7),
            (16, 2, 8),
        ];
        assert_eq!(reports, expected);
        assert_eq!(model.report(&spec, Some(2), now), model.report(&spec, Some(2), now));
    }
}
