//! How far an announcement has to reach, and when one that did not is repeated.
//!
//! Any one of a record's holders is enough for a search, but some are gone before the record is
//! renewed, and some do not answer in time. Two thirds or fewer are too few: a peer or two that
//! are frozen repeat nothing, and a burst of handshakes that kept most peers from answering does.

use std::time::Duration;

use libp2p::kad::{K_VALUE, QueryStats};

/// The first pause before an announcement that reached too few is repeated: what kept the peers
/// from answering, a cluster that starts or a frozen peer, rarely lasts longer.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Whether `known` is too few when there are `all` of them.
pub(super) fn is_few(known: usize, all: usize) -> bool {
    all > 0 && known * 3 <= all * 2
}

/// How many of `peers` live ones a record should reach.
pub(super) fn expected(peers: usize) -> usize {
    peers.min(K_VALUE.get())
}

/// How many peers an announcement reached whose walk and sending came to `stats`. kad counts each
/// of them twice: when it answers the walk, and when the record is handed to its connection. What
/// is above [`expected`] only answered.
pub(super) fn reached(stats: &QueryStats) -> usize {
    usize::try_from(stats.num_successes() / 2).unwrap_or(usize::MAX)
}

/// The pause after `narrow` walks in a row that reached too few. It doubles up to `longest`, so
/// that thousands of digests are not walked every few seconds past peers that stay silent.
pub(super) fn pause(narrow: u32, longest: Duration) -> Duration {
    let doublings = narrow.checked_sub(1).map(|n| n.min(16));
    doublings.map_or(longest, |n| (FIRST_PAUSE * 2_u32.pow(n)).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thirds_are_too_few_and_of_nobody_nobody_is_missed() {
        for (known, all, few) in [
            (0, 0, false),
            (0, 1, true),
            (2, 3, true),
            (5, 7, false),
            (13, 20, true),
            (14, 20, false),
        ] {
            assert_eq!(is_few(known, all), few, "{known} of {all}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = |narrow| pause(narrow, Duration::from_secs(200)).as_secs();
        assert_eq!((1..8).map(pauses).collect::<Vec<_>>(), [5, 10, 20, 40, 80, 160, 200]);
        assert_eq!((pauses(0), pauses(u32::MAX)), (200, 200));
    }
}
