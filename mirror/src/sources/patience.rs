//! How long to wait for an answer of peers that may all be gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

/// How long waits are short after one that nobody ended. Then one again gets all its time: a network
/// that was only slow for a moment is found back, and one that is dead costs a pull one long wait in
/// five seconds.
pub(crate) const SHORT: Duration = Duration::from_secs(5);

/// Long waits while answers come, short ones after an answer did not. Clones share what they learn.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    long: Duration,
    short: Duration,
    /// When a long wait was cut, unless there has been an answer since.
    cut: Arc<Mutex<Option<Instant>>>,
}

/// Until when one wait may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(crate) deadline: Instant,
    full: bool,
}

// === impl Patience ===

impl Patience {
    pub(crate) fn new(long: Duration, short: Duration) -> Self {
        Self { long, short, cut: Arc::default() }
    }

    /// A wait begins.
    pub(crate) fn grant(&self, now: Instant) -> Grant {
        match *self.lock() {
            Some(cut) if now < cut + SHORT => Grant { deadline: now + self.short, full: false },
            _ => self.full(now),
        }
    }

    /// A wait begins for somebody who has answered just now, whatever others did.
    pub(crate) fn full(&self, now: Instant) -> Grant {
        Grant { deadline: now + self.long, full: true }
    }

    /// A wait ended with an answer.
    pub(crate) fn answered(&self) {
        *self.lock() = None;
    }

    /// A wait ended at its deadline.
    pub(crate) fn cut(&self, grant: Grant, now: Instant) {
        if grant.full {
            *self.lock() = Some(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
