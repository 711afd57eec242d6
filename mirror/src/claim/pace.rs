//! How fast members grow, from the bytes that they report about once a second.

use std::collections::{HashMap, VecDeque};

use tokio::time::{Duration, Instant};

/// The time over which growth is measured, at least. Two heartbeats, less what the network adds to
/// one and not to the other: shorter, and a pause of the disk looks like a slow link; longer, and the
/// nodes behind a slow one wait for the measurement.
const SPAN: Duration = Duration::from_millis(1500);

/// Words of one member closer together than this are one sample. Four samples then reach over
/// [`SPAN`], also while each first and last byte is reported between the heartbeats.
const APART: Duration = Duration::from_millis(600);

/// Samples kept of a member.
const SAMPLES: usize = 4;

/// Zones whose pace is remembered. A cluster has three or four; in a room with more, everybody in the
/// others is its own measure, so that nobody is slow there.
const MOST_ZONES: usize = 64;

/// How long the best pace of a zone counts, at least; at most twice that. When a node becomes slow
/// the others may be complete a second later, and then nobody else shows what was possible.
const REMEMBERED: Duration = Duration::from_secs(5);

/// What a member had when, under its present parent.
#[derive(Debug, Default)]
pub(super) struct Pace {
    samples: VecDeque<(Instant, u64)>,
}

/// The best pace of late, of all members of a zone.
#[derive(Debug, Default)]
pub(super) struct Best {
    zones: HashMap<Option<String>, Peak>,
}

/// The best of this period and of the one before.
#[derive(Clone, Copy, Debug)]
struct Peak {
    since: Instant,
    now: u64,
    before: u64,
}

// === impl Pace ===

impl Pace {
    /// Takes note of the byte that a member reached.
    pub(super) fn note(&mut self, have: u64, now: Instant) {
        match self.samples.back().copied() {
            // It began anew.
            Some((_, before)) if have < before => self.samples.clear(),
            Some((at, _)) if now < at + APART => return,
            _ => {}
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((now, have));
    }

    /// Forgets all: what comes from another parent says nothing of this one.
    pub(super) fn restart(&mut self) {
        self.samples.clear();
    }

    /// Bytes per second of late; `None` until it has been measured for [`SPAN`].
    pub(super) fn rate(&self) -> Option<u64> {
        let (end, have) = *self.samples.back()?;
        let (start, had) = *self.samples.iter().rev().find(|(at, _)| end >= *at + SPAN)?;
        let millis = u64::try_from(end.duration_since(start).as_millis()).ok()?;
        Some((have - had).saturating_mul(1000) / millis.max(1))
    }

    /// Bytes that came in so much time of late, as far as that is known.
    pub(super) fn grown_in(&self, time: Duration) -> u64 {
        grown_at(self.rate().unwrap_or(0), time)
    }
}

/// Bytes that come in so much time at a rate in bytes per second.
pub(super) fn grown_at(rate: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    rate.saturating_mul(millis) / 1000
}

// === impl Best ===

impl Best {
    /// Takes note of a pace and returns the best of late in its zone.
    pub(super) fn note(&mut self, zone: &Option<String>, rate: u64, now: Instant) -> u64 {
        if let Some(peak) = self.zones.get_mut(zone) {
            return peak.note(rate, now);
        }
        if self.zones.len() >= MOST_ZONES {
            self.zones.retain(|_, peak| !peak.is_over(now));
        }
        if self.zones.len() < MOST_ZONES {
            self.zones.insert(zone.clone(), Peak { since: now, now: rate, before: 0 });
        }
        rate
    }
}

// === impl Peak ===

impl Peak {
    fn note(&mut self, rate: u64, now: Instant) -> u64 {
        if now >= self.since + REMEMBERED {
            let before = if self.is_over(now) { 0 } else { self.now };
            *self = Self { since: now, now: 0, before };
        }
        self.now = self.now.max(rate);
        self.now.max(self.before)
    }

    /// Whether nobody has noted anything for so long that nothing is left to remember.
    fn is_over(&self, now: Instant) -> bool {
        now >= self.since + REMEMBERED * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pace_is_known_after_two_heartbeats_and_follows_a_drop_within_two_more() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let haves = [0, 100, 200, 300, 310, 320];
        let rates = haves.iter().zip(0u32..).map(|(have, second)| {
            pace.note(*have, start + SECOND * second);
            pace.rate()
        });
        let expected = [None, None, Some(100), Some(100), Some(55), Some(10)];
        assert_eq!(rates.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn news_between_heartbeats_do_not_shorten_what_is_measured() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for tenth in 0u32..40 {
            pace.note(u64::from(tenth) * 10, start + SECOND * tenth / 10);
        }
        assert_eq!(pace.rate(), Some(100));
    }

    #[test]
    fn who_begins_anew_is_measured_anew() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for (second, have) in [(0, 100), (2, 500), (3, 0), (4, 100)] {
            pace.note(have, start + SECOND * second);
        }
        assert_eq!(pace.rate(), None);
    }

    #[test]
    fn the_best_pace_is_remembered_for_seconds() {
        let (mut best, start) = (Best::default(), Instant::now());
        let noted = [(0, 50, 50), (4, 10, 50), (6, 10, 50), (9, 10, 50), (12, 10, 10)];
        for (second, rate, expected) in noted {
            let noted = best.note(&None, rate, start + SECOND * second);
            assert_eq!(noted, expected, "after {second} s");
        }
    }

    #[test]
    fn zones_are_measured_apart_and_one_too_many_is_its_own_measure() {
        let (mut best, now) = (Best::default(), Instant::now());
        let zone = |number: usize| Some(number.to_string());
        for number in 0..=MOST_ZONES {
            best.note(&zone(number), 100, now);
        }
        assert_eq!(best.note(&zone(0), 10, now + SECOND), 100);
        assert_eq!(best.note(&zone(MOST_ZONES), 10, now + SECOND), 10);
        let later = now + REMEMBERED * 2;
        best.note(&zone(MOST_ZONES), 20, later);
        assert_eq!(best.note(&zone(MOST_ZONES), 10, later), 20, "the others are forgotten");
    }
}
