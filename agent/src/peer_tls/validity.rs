//! From when to when a certificate counts, and when the next one is due.

use std::time::Duration;

use rustls::pki_types::UnixTime;

/// The clocks of two nodes may differ by this much: a clock that was set to local time instead of
/// UTC, or has never been set since it was soldered in, at least to the day.
const SKEW: Duration = Duration::from_secs(24 * 3600);

/// How long one certificate is shown.
const SHOWN: Duration = Duration::from_secs(12 * 3600);

/// When a certificate was issued; all else follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    issued: UnixTime,
}

// === impl Validity ===

impl From<UnixTime> for Validity {
    fn from(issued: UnixTime) -> Self {
        Self { issued }
    }
}

impl Validity {
    /// It counts for a node whose clock is slow, and was right when it was issued.
    pub(super) fn not_before(self) -> UnixTime {
        UnixTime::since_unix_epoch(since_epoch(self.issued).saturating_sub(SKEW))
    }

    /// It counts for a node whose clock is fast, as long as it is shown.
    pub(super) fn not_after(self) -> UnixTime {
        UnixTime::since_unix_epoch(since_epoch(self.issued) + SHOWN + SKEW)
    }

    /// Whether the next one is due. So it is when the clock has been set back: from when it was wrong,
    /// nothing can be told.
    pub(super) fn is_over(self, now: UnixTime) -> bool {
        now < self.issued || since_epoch(now) >= since_epoch(self.issued) + SHOWN
    }
}

fn since_epoch(time: UnixTime) -> Duration {
    Duration::from_secs(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const ISSUED: u64 = 1_800_000_000;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn whoever_is_a_day_early_or_late_accepts_it_as_long_as_it_is_shown() {
        let validity = Validity::from(at(ISSUED));
        assert_eq!(validity.not_before(), at(ISSUED - 24 * HOUR));
        assert_eq!(validity.not_after(), at(ISSUED + (12 + 24) * HOUR));
        assert_eq!(Validity::from(at(HOUR)).not_before(), at(0), "a clock that was never set");
    }

    #[test]
    fn the_next_one_is_due_after_half_a_day_or_when_the_clock_is_set() {
        let validity = Validity::from(at(ISSUED));
        for (now, over) in [
            (ISSUED, false),
            (ISSUED + 12 * HOUR - 1, false),
            (ISSUED + 12 * HOUR, true),
            (ISSUED + 1000 * HOUR, true),
            (ISSUED - 1, true),
        ] {
            assert_eq!(validity.is_over(at(now)), over, "{now}");
        }
    }
}
