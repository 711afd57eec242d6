//! Which of an image's blobs are received at a time. Pure.
//!
//! All are claimed ahead, so that each follows its source from the first byte on, wherever the node
//! that has the image from the registry begins. Those of which bytes are here take turns.

use std::collections::BTreeSet;

/// Blobs that are received at a time, as many as the runtime of the first node fetches (containerd's
/// default). With fewer here, one comes at a third of the link, and the others begin when it is
/// through; with more, all of a complete image come at once, and the first layer is whole, for those
/// who follow and for unpacking, no sooner than the last.
pub(crate) const AT_ONCE: usize = 3;

/// The blobs of which bytes are here, by their places in the manifest.
///
/// Who has a turn keeps it: those who follow this node in a blob would stall with it otherwise, and look
/// for another parent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    on: BTreeSet<usize>,
    waiting: BTreeSet<usize>,
}

// === impl Turns ===

impl Turns {
    /// Bytes of this blob are here. Returns whether that is news.
    pub(crate) fn come(&mut self, blob: usize) -> bool {
        let is_news = !self.on.contains(&blob) && self.waiting.insert(blob);
        self.admit();
        is_news
    }

    /// No more of them come, for good or for now. Returns whether that is news.
    pub(crate) fn leave(&mut self, blob: usize) -> bool {
        let is_news = self.on.remove(&blob) || self.waiting.remove(&blob);
        self.admit();
        is_news
    }

    /// Whether it is this blob's turn.
    pub(crate) fn is_on(&self, blob: usize) -> bool {
        self.on.contains(&blob)
    }

    /// The first ones that wait get what is free of the [`AT_ONCE`] turns.
    fn admit(&mut self) {
        while self.on.len() < AT_ONCE
            && let Some(next) = self.waiting.pop_first()
        {
            self.on.insert(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on(turns: &Turns) -> Vec<usize> {
        (0..9).filter(|blob| turns.is_on(*blob)).collect()
    }

    fn of(blobs: impl IntoIterator<Item = usize>) -> Turns {
        let mut turns = Turns::default();
        blobs.into_iter().for_each(|blob| assert!(turns.come(blob)));
        turns
    }

    #[test]
    fn the_next_turn_is_that_of_the_first_in_the_manifest() {
        let mut turns = of([0, 1, 2, 5, 4, 3]);
        for first in 0..4 {
            assert_eq!(on(&turns), [first, first + 1, first + 2]);
            assert!(turns.leave(first));
        }
        assert_eq!(on(&turns), [4, 5]);
    }

    #[test]
    fn a_blob_of_which_nothing_has_come_keeps_no_other_waiting() {
        let mut turns = of([0, 1, 3]);
        assert_eq!(on(&turns), [0, 1, 3], "the third is waited for");
        turns.come(2);
        assert_eq!(on(&turns), [0, 1, 3], "who follows this node in the last goes on");
        turns.leave(1);
        assert_eq!(on(&turns), [0, 2, 3]);
    }

    #[test]
    fn one_that_stalls_makes_place_and_waits_for_it_when_it_moves() {
        let mut turns = of(0..4);
        turns.leave(0);
        assert_eq!(on(&turns), [1, 2, 3]);
        assert!(turns.come(0));
        assert!(!turns.come(0));
        assert_eq!(on(&turns), [1, 2, 3]);
        turns.leave(3);
        assert_eq!(on(&turns), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn as_many_as_may_are_on_and_none_that_is_loses_its_turn(
            steps in proptest::collection::vec((0usize..9, any::<bool>()), 0..60),
        ) {
            let (mut turns, mut here) = (Turns::default(), BTreeSet::new());
            for (blob, comes) in steps {
                let before = on(&turns);
                let is_news = if comes { turns.come(blob) } else { turns.leave(blob) };
                prop_assert_eq!(is_news, if comes { here.insert(blob) } else { here.remove(&blob) });
                let now = on(&turns);
                prop_assert_eq!(now.len(), here.len().min(AT_ONCE));
                prop_assert!(now.iter().all(|blob| here.contains(blob)));
                let stay = |old: &usize| now.contains(old) || (!comes && *old == blob);
                prop_assert!(before.iter().all(stay));
            }
        }
    }
}
