//! When a node that has joined looks around.
//!
//! The first peer introduces it to the others, and is asked at once: kad itself would wait for more. But
//! two nodes that join at once are both told too little when neither has identified itself to the
//! peer that both ask; and who asks kad to look ends the look that kad was about to take, so nobody
//! else would introduce them until the next, minutes later. So a node looks again, less and less often.

use std::time::Duration;

use tokio::time::Instant;

/// From the first look to the second: a node that joined at the same time is known by then, if nothing is slow.
const FIRST: Duration = Duration::from_millis(500);

/// The looks of one node, from its first peer on.
#[derive(Debug)]
pub(super) struct Looks {
    /// After a wait as long as this no further look comes of here: kad's own are as frequent.
    longest: Duration,
    next: Option<Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    due: Instant,
    /// From it to the next one.
    wait: Duration,
}

// === impl Looks ===

impl Looks {
    /// Looks of a node whose kad walks every `refresh`.
    pub(super) fn new(refresh: Duration) -> Self {
        Self { longest: refresh, next: None }
    }

    /// The first peer came.
    pub(super) fn joined(&mut self, now: Instant) {
        self.next = Some(Look { due: now, wait: FIRST });
    }

    /// When to look.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.next.map(|look| look.due)
    }

    /// Whether a look is due, which is taken then.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let Some(look) = self.next.filter(|look| now >= look.due) else {
            return false;
        };
        let next = Look { due: now + look.wait, wait: 2 * look.wait };
        self.next = (look.wait < self.longest).then_some(next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_become_rare_and_end_where_those_of_kad_begin() {
        let mut looks = Looks::new(Duration::from_secs(10));
        let began = Instant::now();
        assert_eq!(looks.next_due(), None, "nobody is there to ask");
        looks.joined(began);
        assert!(looks.take_due(began), "the first peer is asked at once");
        assert!(!looks.take_due(began));
        let mut taken = Vec::new();
        while let Some(due) = looks.next_due() {
            assert!(looks.take_due(due));
            taken.push((due - began).as_millis());
        }
        assert_eq!(taken, [500, 1_500, 3_500, 7_500, 15_500]);
    }
}
