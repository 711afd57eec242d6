//! Windows: the times at which nodes may begin to pull.
//!
//! A window opens by a cron expression of five fields, read in a time zone, and stays open for a
//! while. Where the clock jumps, croner's rules hold, which are those of Vixie cron: a start that falls
//! into the hour that is left out comes right after the gap, and one in the hour that comes twice
//! comes once.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};
use thiserror::Error;

/// The longest that a window stays open: a longer one is open for good with a weekly start.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The shortest: cron knows nothing below a minute.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

/// A window that opens again and again.
#[derive(Clone, Debug)]
pub struct Window {
    starts: Cron,
    length: SignedDuration,
    zone: TimeZone,
}

/// Whether new work may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may, and for as long as this says; `None` is for ever.
    Open {
        /// When the gate closes.
        until: Option<Timestamp>,
    },
    /// It may not. Next: `Open`, at that time; `None` is never.
    Closed {
        /// When the gate opens.
        opens: Option<Timestamp>,
    },
}

/// Why a window makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadWindow {
    /// The start is not a cron expression.
    #[error(
        "{start:?} is not a cron expression ({why}): write minute, hour, day of month, month and day \
         of week, for example \"0 22 * * MON-FRI\""
    )]
    Start {
        /// What was written.
        start: String,
        /// What the parser says.
        why: String,
    },
    /// The length is out of bounds.
    #[error("a window is open for at least one minute (1m) and at most a week (168h)")]
    Length,
    /// The time zone is not known.
    #[error(
        "{0:?} is not a time zone: write a name such as Europe/Berlin, America/New_York or UTC"
    )]
    Zone(String),
}

// === impl Window ===

impl Window {
    /// A window that opens at `start` (cron, five fields, in the time zone `zone`) for `length`.
    ///
    /// # Errors
    ///
    /// When one of them makes no sense; the error says what to write.
    pub fn new(start: &str, length: SignedDuration, zone: &str) -> Result<Self, BadWindow> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let starts = parser.parse(start).map_err(|error| BadWindow::Start {
            start: start.to_owned(),
            why: error.to_string(),
        })?;
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(BadWindow::Length);
        }
        let zone = TimeZone::get(zone).map_err(|_| BadWindow::Zone(zone.to_owned()))?;
        Ok(Self { starts, length, zone })
    }

    /// Whether it is open at `now`, and when that changes.
    ///
    /// Starts that come while it is open prolong it. `until` is the end that the last start before
    /// `now` leads to; at that time it may turn out that another start has come.
    pub fn at(&self, now: Timestamp) -> Gate {
        let here = now.to_zoned(self.zone.clone());
        match self.last_start(&here).map(|start| start + self.length) {
            Some(end) if end > now => Gate::Open { until: Some(end) },
            _ => Gate::Closed { opens: self.next_start(&here) },
        }
    }

    fn last_start(&self, here: &Zoned) -> Option<Timestamp> {
        let start = self.starts.find_previous_occurrence(here, true).ok()?;
        Some(start.timestamp()).filter(|start| *start <= here.timestamp())
    }

    fn next_start(&self, here: &Zoned) -> Option<Timestamp> {
        self.starts.find_next_occurrence(here, false).ok().map(|start| start.timestamp())
    }
}

// === impl Gate ===

impl Gate {
    /// Always open: there is no window.
    pub const ALWAYS: Self = Self::Open { until: None };

    /// Whether new work may begin.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }
}

#[cfg(test)]
mod tests;
