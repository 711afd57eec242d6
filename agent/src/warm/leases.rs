//! Which images may have leases in the runtime, and which of those are to be ended now. Pure.

use std::collections::HashSet;

use onepull_mirror::Digest;
use tokio::time::{Duration, Instant};

use crate::desired::DesiredState;

/// Until a lease is tried again that could not be ended. containerd is back within seconds when it was
/// started anew, and nobody waits for the disk that the lease keeps.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// The images that may have leases: those that are or were declared since the start, and those of earlier
/// runs once they are listed.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    images: HashSet<Digest>,
    is_listed: bool,
    /// After a failure, when to try again.
    rests_until: Option<Instant>,
}

// === impl Leases ===

impl Leases {
    /// What is declared gets leases from now on.
    pub(crate) fn adopt(&mut self, desired: &DesiredState) {
        self.images.extend(desired.images.iter().map(|image| image.digest));
    }

    /// Whether earlier runs' leases are to be listed: once, and not before it is known what is declared, or
    /// those of declared images would be ended.
    pub(crate) fn is_to_list(&self, desired: &DesiredState, now: Instant) -> bool {
        !self.is_listed && desired.is_known && !self.rests(now)
    }

    /// These images have leases.
    pub(crate) fn found(&mut self, images: impl IntoIterator<Item = Digest>) {
        self.images.extend(images);
        self.is_listed = true;
    }

    /// This one may have a lease.
    pub(crate) fn note(&mut self, image: Digest) {
        self.images.insert(image);
    }

    /// Whose leases are to be ended now.
    pub(crate) fn to_end(&self, desired: &DesiredState, now: Instant) -> Vec<Digest> {
        if self.rests(now) {
            return Vec::new();
        }
        let declared: HashSet<_> = desired.images.iter().map(|image| image.digest).collect();
        self.images.difference(&declared).copied().collect()
    }

    /// It has no lease any more.
    pub(crate) fn ended(&mut self, image: &Digest) {
        self.images.remove(image);
    }

    /// Something failed.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.rests_until = Some(now + TRY_AGAIN);
    }

    /// When something that failed is tried again.
    pub(crate) fn next_try(&self, now: Instant) -> Option<Instant> {
        self.rests_until.filter(|until| now < *until)
    }

    fn rests(&self, now: Instant) -> bool {
        self.next_try(now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{DesiredImage, ImageName, Source};

    fn digest(number: u8) -> Digest {
        Digest::sha256(&[number])
    }

    fn desired(numbers: &[u8], is_known: bool) -> DesiredState {
        let image = |number: &u8| {
            let name: ImageName = format!("r.example/app:v{number}").parse().unwrap();
            DesiredImage { names: name.into(), digest: digest(*number), source: Source::Peers }
        };
        DesiredState { images: numbers.iter().map(image).collect(), is_known, ..Default::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn leases_of_earlier_runs_end_once_it_is_known_what_is_declared() {
        let (now, mut leases) = (Instant::now(), Leases::default());
        let nobody_said = desired(&[], false);
        leases.adopt(&nobody_said);
        assert!(!leases.is_to_list(&nobody_said, now));
        assert_eq!(leases.to_end(&nobody_said, now), []);
        let said = desired(&[1], true);
        leases.adopt(&said);
        assert!(leases.is_to_list(&said, now));
        leases.found([digest(1), digest(2)]);
        assert!(!leases.is_to_list(&said, now));
        assert_eq!(leases.to_end(&said, now), [digest(2)]);
        leases.ended(&digest(2));
        assert_eq!(leases.to_end(&said, now), []);
        assert_eq!(leases.to_end(&desired(&[], true), now), [digest(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_after_a_while() {
        let (now, mut leases) = (Instant::now(), Leases::default());
        leases.adopt(&desired(&[1], true));
        let nothing = desired(&[], true);
        assert_eq!(leases.to_end(&nothing, now), [digest(1)]);
        leases.failed(now);
        assert_eq!(
            (leases.to_end(&nothing, now), leases.is_to_list(&nothing, now)),
            (vec![], false)
        );
        let later = leases.next_try(now).unwrap();
        assert_eq!(leases.to_end(&nothing, later), [digest(1)]);
        assert!(leases.is_to_list(&nothing, later));
        assert_eq!(leases.next_try(later), None);
    }
}
