//! How fast an image comes, and how far off a layer's turn is. Pure.

use tokio::time::{Duration, Instant};

use crate::mirror::order::UNDER_WAY;

/// For how long bytes have to come before they tell a pace: the first ones were on their way together.
pub(super) const MEASURED: Duration = Duration::from_millis(250);

/// How fast an image comes.
#[derive(Default)]
pub(super) struct Pace {
    /// Bytes that were here when it was looked at first.
    before: Option<u64>,
    /// When the first bytes had come, and how many were here then.
    began: Option<(Instant, u64)>,
    here: u64,
}

/// The bytes that come until fewer than [`UNDER_WAY`] of the layers with these bytes left are missing,
/// where the first ones come at the same pace.
pub(super) fn until_turn(lefts: &[u64]) -> u64 {
    let mut lefts: Vec<_> = lefts.iter().copied().filter(|left| *left > 0).collect();
    let mut bytes = 0;
    while let Some(under_way) = lefts.get_mut(..UNDER_WAY) {
        let least = under_way.iter().copied().min().unwrap_or(0);
        for left in under_way {
            *left -= least;
            bytes += least;
        }
        lefts.retain(|left| *left > 0);
    }
    bytes
}

// === impl Pace ===

impl Pace {
    /// So many bytes are here. What came first begins the measure.
    pub(super) fn note(&mut self, here: u64, now: Instant) {
        let before = *self.before.get_or_insert(here);
        if here > before && self.began.is_none() {
            self.began = Some((now, here));
        }
        self.here = here;
    }

    /// Whether `bytes` come within `time`.
    pub(super) fn is_within(&self, bytes: u64, time: Duration, now: Instant) -> bool {
        if bytes == 0 {
            return true;
        }
        let Some((began, here)) = self.began else { return false };
        let (took, came) = (now - began, self.here.saturating_sub(here));
        let fits = u128::from(bytes) * took.as_millis() <= u128::from(came) * time.as_millis();
        took >= MEASURED && fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_comes_when_fewer_than_three_before_it_are_missing() {
        for (lefts, bytes) in [
            (&[9, 9, 9][..], 27),
            (&[9, 0, 9], 0),
            (&[1, 9, 9], 3),
            (&[1, 9, 0, 9, 2], 3 + 6),
            (&[1, 9, 9, 2, 3], 3 + 6 + 9),
        ] {
            assert_eq!(until_turn(lefts), bytes, "{lefts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_told_by_what_came_after_the_first_bytes() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::default();
        pace.note(7, start);
        assert!(pace.is_within(0, second, start) && !pace.is_within(1, second, start));
        pace.note(100, start);
        pace.note(110, start + MEASURED / 2);
        assert!(!pace.is_within(1, second, start + MEASURED / 2), "too soon to tell");
        pace.note(110, start + second);
        assert!(pace.is_within(10, second, start + second));
        assert!(!pace.is_within(11, second, start + second));
    }
}
