//! When the next cycle begins.

use std::time::Duration;

/// Between the beginning of two cycles. Agents report a quarter of an image at a time, so much news
/// comes at once; and half a second is little beside what it takes to bring an image in.
const PACE: Duration = Duration::from_millis(500);

/// After a cycle in which no write succeeded, doubled with each: what the API server refuses now it will
/// mostly refuse for a while, and 5,000 refusals a second help nobody.
const LONGEST_SETBACK: Duration = Duration::from_secs(30);

/// How long a refusal is paid for, whatever happens meanwhile: ten a second disturb nobody.
const REFUSAL: Duration = Duration::from_millis(100);

/// What became of a cycle's writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) done: usize,
    pub(super) failed: usize,
    /// There was no time for them.
    pub(super) left: usize,
}

/// How long to wait for the next cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// At least so long.
    pub(super) least: Duration,
    /// So long, if there is no news.
    pub(super) most: Duration,
}

/// Cycles in a row in which writes failed and none succeeded. One object that can never be written slows down no
/// other.
pub(super) fn setbacks(before: u32, outcome: Outcome) -> u32 {
    match outcome {
        Outcome { done: 0, failed: 1.., .. } => before.saturating_add(1),
        _ => 0,
    }
}

/// When to go on after so many setbacks, if nothing is to be done for `idle`. News ends a setback early, in proportion
/// to what failed: a few refusals hold up no rollout, and thousands hold up all.
pub(super) fn pace(setbacks: u32, outcome: Outcome, idle: Duration) -> Pace {
    let setback = (PACE * 2u32.pow(setbacks.min(8))).min(LONGEST_SETBACK);
    let refused = REFUSAL.saturating_mul(u32::try_from(outcome.failed).unwrap_or(u32::MAX));
    let most = match (setbacks, outcome.failed + outcome.left) {
        (0, 0) => idle,
        (0, _) => PACE,
        _ => setback.min(idle),
    };
    let least = refused.clamp(PACE, setback);
    Pace { least, most: most.max(least) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn outcome(done: usize, failed: usize, left: usize) -> Outcome {
        Outcome { done, failed, left }
    }

    /// After so many cycles that end so.
    fn after(cycles: usize, outcome: Outcome) -> (Duration, Duration) {
        let count = (0..cycles).fold(0, |before, _| setbacks(before, outcome));
        let Pace { least, most } = pace(count, outcome, IDLE);
        (least, most)
    }

    #[test]
    fn a_cycle_that_did_all_rests_until_there_is_news_or_something_to_do() {
        assert_eq!(after(1, outcome(0, 0, 0)), (PACE, IDLE));
        assert_eq!(after(1, outcome(9, 0, 0)), (PACE, IDLE));
        assert_eq!(after(1, outcome(80, 0, 5)), (PACE, PACE), "there was no time for all");
    }

    #[test]
    fn an_object_that_can_never_be_written_slows_down_no_other() {
        assert_eq!(after(20, outcome(5, 1, 0)), (PACE, PACE), "others are written");
        assert_eq!(after(20, outcome(0, 1, 0)), (PACE, LONGEST_SETBACK), "news is seen at once");
    }

    #[test]
    fn an_api_server_that_refuses_everything_is_left_alone_for_longer_and_longer() {
        let waits = [1, 2, 3, 20].map(|cycles| after(cycles, outcome(0, 5_000, 0)).0);
        assert_eq!(waits.map(|wait| wait.as_secs()), [1, 2, 4, 30]);
        assert_eq!(setbacks(20, outcome(1, 5_000, 0)), 0, "it is back");
    }

    #[test]
    fn what_is_to_be_done_soon_is_not_put_off_by_a_setback() {
        let soon = Duration::from_secs(3);
        assert_eq!(pace(20, outcome(0, 1, 0), soon).most, soon);
    }
}
