//! When to list containerd's content again. Pure: the follower carries it out.

use std::time::Duration;

use onepull_mirror::store::STALL;
use tokio::time::Instant;

/// The times of the store: how often content is listed, and how long a reader of a growing blob
/// waits for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between the starts of two listings. A pull ends with several image events in a row, one
    /// listing of which is enough; a listing is of the order of 10 ms on a full node.
    pub apart: Duration,
    /// From an image event to a second listing: a removed image's blobs go by garbage collection,
    /// which tells nothing and follows within a few seconds.
    pub settle: Duration,
    /// Between listings for no reason but that something may have been missed.
    pub audit: Duration,
    /// After which a blob that does not grow is no longer waited for.
    pub stall: Duration,
}

/// What the listings still to come are for; the earliest is next.
#[derive(Debug)]
pub(super) struct Relist {
    pace: Pace,
    last: Option<Instant>,
    wanted: Option<Instant>,
    settle: Option<Instant>,
    audit: Instant,
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self {
            apart: Duration::from_millis(200),
            settle: Duration::from_secs(5),
            audit: Duration::from_secs(60),
            stall: STALL,
        }
    }
}

// === impl Relist ===

impl Relist {
    /// The first listing is due now, a second one after things have settled.
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        let mut relist =
            Self { pace, last: None, wanted: None, settle: None, audit: now + pace.audit };
        relist.request(now);
        relist
    }

    /// Something changed that only a listing shows.
    pub(super) fn request(&mut self, now: Instant) {
        let free = self.last.map_or(now, |last| now.max(last + self.pace.apart));
        self.wanted = Some(self.wanted.map_or(free, |wanted| wanted.min(free)));
        self.settle = Some(now + self.pace.settle);
    }

    /// When the next listing should start.
    pub(super) fn due(&self) -> Instant {
        [self.wanted, self.settle].into_iter().flatten().fold(self.audit, Instant::min)
    }

    /// A listing starts.
    pub(super) fn started(&mut self, now: Instant) {
        self.last = Some(now);
        self.wanted = None;
        self.settle = self.settle.filter(|settle| *settle > now);
        self.audit = now + self.pace.audit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_of_changes_leads_to_one_listing_now_and_one_when_settled() {
        let start = Instant::now();
        let mut relist = Relist::new(Pace::default(), start);
        assert_eq!(relist.due(), start);
        relist.started(start);
        for at in [10, 20, 30] {
            relist.request(start + at * MS);
        }
        assert_eq!(relist.due(), start + 200 * MS, "listings keep their distance");
        relist.started(start + 200 * MS);
        assert_eq!(relist.due(), start + 5030 * MS, "garbage collection may follow");
        relist.started(start + 5030 * MS);
        assert_eq!(relist.due(), start + 65_030 * MS, "then only the audit");
    }

    #[test]
    fn a_change_long_after_a_listing_is_listed_at_once() {
        let start = Instant::now();
        let mut relist = Relist::new(Pace::default(), start);
        relist.started(start + 5000 * MS);
        relist.request(start + 9000 * MS);
        assert_eq!(relist.due(), start + 9000 * MS);
    }
}
