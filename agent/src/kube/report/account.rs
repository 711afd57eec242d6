//! What one image has cost in one rollout, and what it may still cost.

use onepull_api::{HeldImage, NodeImageState};
use tokio::time::{Duration, Instant};

use super::{BUDGET, Moment, stage::Stage};

/// How long an attempt after a failure goes on before it is told of. Most fail again sooner, and
/// "failed" and "tried again" are one thing to whoever decides.
const RETRY: Duration = Duration::from_secs(60);

/// Between two writes of what goes on failing.
const TRICKLE: Duration = Duration::from_secs(300);

/// Until the bytes of an image that is warm are counted: the last blob's origin is known a moment
/// after the blob is.
const COUNTED: Duration = Duration::from_secs(5);

/// An image's writes in one rollout.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    writes: u32,
    /// When the last was.
    last: Option<Instant>,
    /// The furthest quarter that was written.
    furthest: u64,
}

// === impl Account ===

impl Account {
    /// Of an image that an earlier run wrote; what it cost then is not known.
    pub(super) fn found(image: &HeldImage) -> Self {
        Self { writes: 1, last: None, furthest: Stage::of(image).quarter }
    }

    /// When `image` has to be written, `before` being what was; `None` if it need not be.
    pub(super) fn due(
        &self,
        before: Option<&HeldImage>,
        image: &HeldImage,
        at: Moment,
    ) -> Option<Instant> {
        let now = at.now;
        let Some(before) = before else { return Some(now) };
        let (was, is) = (Stage::of(before), Stage::of(image));
        if !self.says_more(Some(before), image) {
            return None;
        }
        let later = |wait: Duration| self.last.map_or(now, |last| last + wait);
        let is_retry = was.is_failure() && is.state == NodeImageState::Warming;
        Some(match is {
            _ if was == is => later(COUNTED),
            _ if is.is_done() => now,
            // The last is kept for the end.
            _ if self.writes + 1 >= BUDGET => later(TRICKLE),
            _ if is_retry && is.quarter <= self.furthest => {
                now + RETRY.saturating_sub(age(image, at))
            }
            _ => now,
        })
    }

    /// Whether `image` differs from what was written in something that is told.
    pub(super) fn says_more(&self, before: Option<&HeldImage>, image: &HeldImage) -> bool {
        let Some(before) = before else { return true };
        let (was, is) = (Stage::of(before), Stage::of(image));
        match (was.state, is.state) {
            (NodeImageState::Warming, NodeImageState::Warming) => is.quarter > self.furthest,
            _ if was != is => true,
            // Once: what comes late comes together.
            _ => is.is_done() && self.writes < BUDGET && counts(before) != counts(image),
        }
    }

    /// `image` was written because it said more.
    pub(super) fn pay(&mut self, image: &HeldImage, now: Instant) {
        self.writes += 1;
        self.last = Some(now);
        self.furthest = self.furthest.max(Stage::of(image).quarter);
    }
}

/// For how long it has been in its state.
fn age(image: &HeldImage, at: Moment) -> Duration {
    let age = image.since.as_ref().map(|since| at.wall.duration_since(since.0));
    age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default()
}

fn counts(image: &HeldImage) -> [u64; 2] {
    [image.bytes_from_upstream, image.bytes_from_peers]
}
