//! What is known of each declared image, and which of them is to be seen to next. Pure.

use std::collections::HashMap;

use onepull_api::NodeReason;
use tokio::time::{Duration, Instant};

use crate::desired::DesiredImage;

/// How often an image that is held is looked for again: somebody may have removed it. The kubelet
/// looks for space every five minutes, and a look costs one call of the runtime.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The wait after a first failure. It doubles with each further one, as a kubelet's does.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The longest wait after a failure: who mended what was wrong does not want to wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What an image is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its turn has not come. Next: `Warming`.
    Waiting,
    /// It is being looked for, fetched, written or unpacked. Next: any but `Waiting`.
    Warming,
    /// The runtime lists it. It is looked for again later.
    Held,
    /// No other node has it, and this one is not to ask the registry. Tried again later.
    NeedsUpstream(String),
    /// It went wrong. Tried again later.
    Failed(NodeReason, String),
}

/// One image's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) state: State,
    /// When it got into that state.
    pub(crate) since: Instant,
    /// When it is to be seen to.
    due: Instant,
    /// Failures in a row.
    failures: u32,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// See to this image.
    See(DesiredImage),
    /// Nothing before this instant; never, for `None`.
    Rest(Option<Instant>),
}

/// The states of the declared images.
#[derive(Debug, Default)]
pub(crate) struct Ledger(HashMap<DesiredImage, Entry>);

// === impl Ledger ===

impl Ledger {
    /// Makes place for what is declared now, and forgets the rest.
    pub(crate) fn adopt(&mut self, images: &[DesiredImage], now: Instant) {
        self.0.retain(|image, _| images.contains(image));
        for image in images {
            self.0.entry(image.clone()).or_insert(Entry {
                state: State::Waiting,
                since: now,
                due: now,
                failures: 0,
            });
        }
    }

    /// The first image, in the order of `images`, whose time has come.
    pub(crate) fn choose(&self, images: &[DesiredImage], now: Instant) -> Choice {
        let due = |image: &DesiredImage| self.0.get(image).map_or(now, |entry| entry.due);
        match images.iter().find(|image| due(image) <= now) {
            Some(image) => Choice::See(image.clone()),
            None => Choice::Rest(images.iter().map(due).min()),
        }
    }

    /// Takes note of what became of an image.
    pub(crate) fn enter(&mut self, image: &DesiredImage, state: State, now: Instant) {
        let Some(entry) = self.0.get_mut(image) else { return };
        let is_news = std::mem::discriminant(&entry.state) != std::mem::discriminant(&state);
        if is_news {
            entry.since = now;
        }
        entry.due = match state {
            State::Waiting | State::Warming => now,
            State::Held => now + LOOK_AGAIN,
            State::NeedsUpstream(_) | State::Failed(..) => now + wait(entry.failures),
        };
        match state {
            State::Held => entry.failures = 0,
            State::NeedsUpstream(_) | State::Failed(..) => entry.failures += 1,
            State::Waiting | State::Warming => {}
        }
        entry.state = state;
    }

    pub(crate) fn get(&self, image: &DesiredImage) -> Option<&Entry> {
        self.0.get(image)
    }
}

fn wait(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << failures.min(8)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use onepull_mirror::Digest;
    use proptest::prelude::*;

    use super::*;
    use crate::desired::{ImageName, Source};

    fn image(number: u8) -> DesiredImage {
        DesiredImage {
            names: format!("r.example/app:v{number}").parse::<ImageName>().unwrap().into(),
            digest: Digest::sha256(&[number]),
            source: Source::Peers,
        }
    }

    fn failed() -> State {
        State::Failed(NodeReason::RuntimeFailed, "no".into())
    }

    #[tokio::test(start_paused = true)]
    async fn images_are_seen_to_in_their_order_and_failures_keep_nobody_waiting() {
        let now = Instant::now();
        let images = [image(1), image(2)];
        let mut ledger = Ledger::default();
        ledger.adopt(&images, now);
        assert_eq!(ledger.choose(&images, now), Choice::See(image(1)));
        ledger.enter(&image(1), failed(), now);
        assert_eq!(ledger.choose(&images, now), Choice::See(image(2)));
        ledger.enter(&image(2), State::Held, now);
        assert_eq!(ledger.choose(&images, now), Choice::Rest(Some(now + FIRST_WAIT)));
        assert_eq!(ledger.choose(&images, now + FIRST_WAIT), Choice::See(image(1)));
        ledger.enter(&image(1), State::Held, now);
        assert_eq!(ledger.choose(&images, now), Choice::Rest(Some(now + LOOK_AGAIN)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_that_changes_begins_anew_and_the_time_of_a_state_is_that_of_its_start() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        ledger.adopt(&[image(1)], now);
        ledger.enter(&image(1), failed(), now);
        ledger.enter(&image(1), failed(), now + FIRST_WAIT);
        assert_eq!(ledger.get(&image(1)).unwrap().since, now);
        let moved = DesiredImage { source: Source::Upstream, ..image(1) };
        let later = now + FIRST_WAIT;
        ledger.adopt(std::slice::from_ref(&moved), later);
        assert_eq!(ledger.choose(std::slice::from_ref(&moved), later), Choice::See(moved));
        assert_eq!(ledger.get(&image(1)), None);
        assert_eq!(ledger.choose(&[], later), Choice::Rest(None));
    }

    proptest! {
        #[test]
        fn every_image_is_seen_to_within_the_longest_wait(
            outcomes in proptest::collection::vec((0u8..4, any::<bool>()), 0..60),
        ) {
            let images: Vec<_> = (0..4).map(image).collect();
            let mut now = Instant::now();
            let mut ledger = Ledger::default();
            ledger.adopt(&images, now);
            for (number, fails) in outcomes {
                ledger.enter(&image(number), if fails { failed() } else { State::Held }, now);
                let due = ledger.get(&image(number)).unwrap().due;
                prop_assert!(due > now && due <= now + LONGEST_WAIT.max(LOOK_AGAIN));
                if let Choice::Rest(Some(until)) = ledger.choose(&images, now) {
                    prop_assert!(until > now);
                    now = until;
                }
            }
        }
    }
}
