//! When an image moved last: a byte of it came, or the runtime let a blob be written.

use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

/// How the blobs of an image move, shared by all of them.
#[derive(Debug)]
pub(crate) struct Movement(watch::Sender<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    last: Instant,
    /// Blobs that the runtime is opening: it may be hashing what it has of them.
    opening: usize,
}

/// A blob being opened; over when this is dropped.
#[derive(Debug)]
pub(crate) struct Opening<'a>(&'a Movement);

// === impl Movement ===

impl Movement {
    pub(crate) fn new(now: Instant) -> Self {
        Self(watch::Sender::new(State { last: now, opening: 0 }))
    }

    /// It moves now.
    pub(crate) fn note(&self, now: Instant) {
        self.0.send_modify(|state| state.last = now);
    }

    /// The runtime begins to open a blob. Nobody is late until it has.
    pub(crate) fn opening(&self) -> Opening<'_> {
        self.0.send_modify(|state| state.opening += 1);
        Opening(self)
    }

    /// When it has stood still for `patience`, unless it moves before.
    pub(crate) fn deadline(&self, patience: Duration, now: Instant) -> Instant {
        let State { last, opening } = *self.0.borrow();
        let since = if opening > 0 { now } else { last };
        since + patience
    }
}

// === impl Opening ===

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.opening -= 1);
    }
}
