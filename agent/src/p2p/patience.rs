//! How long a walk waits for the peers that do not answer.
//!
//! A kad walk ends when its 20 closest peers have answered or failed, and a peer whose machine died
//! does neither for ten seconds. But every record lies on twenty nodes, so the answer is usually
//! complete long before the last peer has spoken. The rule: once half of those asked have answered,
//! a straggler gets three times as long as all the others took together, and at least
//! [`LEAST`]. It adapts by itself: on an idle network a dead peer costs 25 ms, on a link with
//! 100 ms of queue nobody is cut off before 400 ms.

use std::time::Duration;

use tokio::time::Instant;

/// The least that a straggler gets. Twenty times what a walk on an idle network takes, so a
/// scheduling hiccup does not end it; still short beside a pull's first byte.
const LEAST: Duration = Duration::from_millis(25);

/// What a straggler gets, as a multiple of the time in which the others answered.
const FACTOR: u32 = 3;

/// The progress of one walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    started: Instant,
    /// It ends here, whatever is missing.
    deadline: Instant,
    heard: u32,
    last_heard: Instant,
}

// === impl Walk ===

impl Walk {
    pub(super) fn new(now: Instant, longest: Duration) -> Self {
        Self { started: now, deadline: now + longest, heard: 0, last_heard: now }
    }

    /// Notes that `heard` peers have answered or failed by `now`.
    pub(super) fn note(&mut self, heard: u32, now: Instant) {
        if heard != self.heard {
            (self.heard, self.last_heard) = (heard, now);
        }
    }

    /// Whether to wait no longer, when `heard` of the `asked` peers have answered or failed by
    /// `now`.
    pub(super) fn is_enough(&mut self, asked: u32, heard: u32, now: Instant) -> bool {
        self.note(heard, now);
        if now >= self.deadline {
            return true;
        }
        let others_took = self.last_heard - self.started;
        heard > 0
            && heard * 2 >= asked
            && now >= self.last_heard + (others_took * FACTOR).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn on_an_idle_network_a_dead_peer_costs_the_least_wait() {
        let start = Instant::now();
        let mut walk = Walk::new(start, ms(1000));
        assert!(!walk.is_enough(7, 6, start + ms(2)));
        assert!(!walk.is_enough(7, 6, start + ms(26)));
        assert!(walk.is_enough(7, 6, start + ms(27)));
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_slow_network_stragglers_get_in_proportion() {
        let start = Instant::now();
        let mut walk = Walk::new(start, ms(1000));
        assert!(!walk.is_enough(7, 4, start + ms(100)));
        assert!(!walk.is_enough(7, 4, start + ms(399)));
        assert!(walk.is_enough(7, 4, start + ms(400)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_minority_does_not_end_a_walk_but_the_deadline_does() {
        let start = Instant::now();
        let mut walk = Walk::new(start, ms(1000));
        assert!(!walk.is_enough(7, 3, start + ms(999)));
        assert!(walk.is_enough(7, 3, start + ms(1000)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_that_asked_nobody_yet_goes_on() {
        let start = Instant::now();
        assert!(!Walk::new(start, ms(1000)).is_enough(0, 0, start + ms(500)));
    }
}
