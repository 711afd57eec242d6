//! When to plan again although nothing has changed.

use jiff::Timestamp;

/// The earliest time at which the same inputs lead to another plan.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Timestamp>);

// === impl Alarm ===

impl Alarm {
    /// Something changes at that time.
    pub(super) fn set(&mut self, time: Timestamp) {
        self.0 = Some(self.0.map_or(time, |earlier| earlier.min(time)));
    }

    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.0
    }
}
