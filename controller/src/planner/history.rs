//! What one plan has to tell the next.
//!
//! Everything that must survive is in the nodes' own objects: who is the seed, what was asked of whom.
//! This is the rest, and it may be lost: then a failed seed may be tried once more, a wait begins
//! anew, and "rollout complete" or a refusal is told twice.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{CacheId, Digest, ImageRef, NodeName, Parting, Platform, Reason, TroubleKind};

/// What one plan has to tell the next. Bounded by what the inputs name: who is gone is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub(super) seeds: BTreeMap<(Digest, Platform), SeedRecord>,
    pub(super) setbacks: BTreeMap<(NodeName, Digest), Setback>,
    pub(super) unanswered: BTreeMap<NodeName, Unanswered>,
    pub(super) complete: BTreeMap<CacheId, BTreeSet<(ImageRef, Digest)>>,
    pub(super) refused: BTreeMap<CacheId, BTreeSet<(ImageRef, TroubleKind)>>,
}

/// The seeds of one image and platform so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SeedRecord {
    /// The last one.
    pub(super) node: Option<NodeName>,
    /// The one that has to be replaced, and why.
    pub(super) lost: Option<(NodeName, Parting)>,
    /// Who failed, and how often, since somebody held the image.
    pub(super) failures: BTreeMap<NodeName, u32>,
    /// The last failure that was counted: of that node, at that generation.
    pub(super) counted: Option<(NodeName, u64)>,
    /// Since when others can get the image, where they can.
    pub(super) reachable: Option<Timestamp>,
    /// No other seed before this.
    pub(super) not_before: Option<Timestamp>,
}

/// A turn that was taken back because the node did not get on, while others waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setback {
    pub(super) count: u32,
    pub(super) retry: Timestamp,
    pub(super) reason: Reason,
}

/// The first thing that a node has been asked and has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub(super) digest: Digest,
    pub(super) generation: u64,
    pub(super) since: Timestamp,
}

/// The first wait. A registry that hiccups has recovered by then, and a node that restarts its
/// runtime too.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// The longest wait: who mended what was wrong does not want to wait longer, and 6 tries an hour hurt
/// no registry.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);

/// How long to wait after the `count`-th failure; the first is 1.
pub(super) fn backoff(count: u32) -> SignedDuration {
    let factor = 1i32 << count.saturating_sub(1).min(8);
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}

// === impl SeedRecord ===

impl SeedRecord {
    /// Takes note that the seed failed, once for each generation. The first is replaced at once, the others after longer and
    /// longer waits.
    pub(super) fn fail(&mut self, node: &NodeName, generation: u64, now: Timestamp) {
        let failure = Some((node.clone(), generation));
        if self.counted == failure {
            return;
        }
        self.counted = failure;
        let before: u32 = self.failures.values().sum();
        *self.failures.entry(node.clone()).or_default() += 1;
        self.not_before = (before > 0).then(|| now + backoff(before));
    }

    pub(super) fn failures_of(&self, node: &NodeName) -> u32 {
        self.failures.get(node).copied().unwrap_or(0)
    }

    /// Forgets what went wrong: somebody holds the image.
    pub(super) fn forgive(&mut self) {
        self.failures.clear();
        (self.counted, self.not_before, self.lost) = (None, None, None);
    }

    /// Until when the next seed has to wait.
    pub(super) fn waits(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.filter(|time| *time > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seed_is_replaced_at_once_and_later_ones_after_longer_and_longer_waits() {
        let now = Timestamp::UNIX_EPOCH;
        let mut record = SeedRecord::default();
        let waits = [("a", 1), ("a", 1), ("b", 1), ("a", 2), ("c", 1)].map(|(node, generation)| {
            record.fail(&node.into(), generation, now);
            record.waits(now).map(|time| time.as_second())
        });
        assert_eq!(waits, [None, None, Some(30), Some(60), Some(120)]);
        assert_eq!(record.failures_of(&"a".into()), 2);
        assert_eq!(backoff(100), LONGEST_WAIT);
    }
}
