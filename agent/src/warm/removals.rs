//! What is known of each image that is to be removed, and which of them is to be tried next. Pure.

use std::collections::HashMap;

use tokio::time::{Duration, Instant};

use crate::desired::UnwantedImage;

/// How often an image that a container uses is tried again. Pods end at any time, and a look costs
/// two calls of the runtime.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What an image that is to be removed is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Its turn has not come. Next: any other.
    Waiting,
    /// A container uses it. Tried again later.
    InUse,
    /// It went wrong. Tried again later.
    Failed(String),
    /// Its names are gone. If somebody pulls it again, that is none of ours.
    Gone,
}

#[derive(Clone, Debug)]
struct Entry {
    state: Leaving,
    /// When it is tried next, if ever.
    due: Option<Instant>,
}

/// The states of the unwanted images.
#[derive(Debug, Default)]
pub(crate) struct Removals(HashMap<UnwantedImage, Entry>);

// === impl Removals ===

impl Removals {
    /// Makes place for what is unwanted now, and forgets the rest.
    pub(crate) fn adopt(&mut self, images: &[UnwantedImage], now: Instant) {
        self.0.retain(|image, _| images.contains(image));
        for image in images {
            let fresh = || Entry { state: Leaving::Waiting, due: Some(now) };
            self.0.entry(image.clone()).or_insert_with(fresh);
        }
    }

    /// The first image whose time has come.
    pub(crate) fn choose<'a>(
        &self,
        images: &'a [UnwantedImage],
        now: Instant,
    ) -> Option<&'a UnwantedImage> {
        images.iter().find(|image| self.due(image).is_some_and(|due| due <= now))
    }

    /// When the next one's time comes.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.0.values().filter_map(|entry| entry.due).min()
    }

    /// Takes note of what became of an image.
    pub(crate) fn enter(&mut self, image: &UnwantedImage, state: Leaving, now: Instant) {
        let Some(entry) = self.0.get_mut(image) else { return };
        entry.due = match state {
            Leaving::Gone => None,
            Leaving::Waiting => Some(now),
            Leaving::InUse | Leaving::Failed(_) => Some(now + LOOK_AGAIN),
        };
        entry.state = state;
    }

    pub(crate) fn state(&self, image: &UnwantedImage) -> Leaving {
        self.0.get(image).map_or(Leaving::Waiting, |entry| entry.state.clone())
    }

    fn due(&self, image: &UnwantedImage) -> Option<Instant> {
        self.0.get(image).and_then(|entry| entry.due)
    }
}

#[cfg(test)]
mod tests {
    use onepull_mirror::Digest;

    use super::*;
    use crate::desired::ImageName;

    fn image(number: u8) -> UnwantedImage {
        let name: ImageName = format!("r.example/app:v{number}").parse().unwrap();
        UnwantedImage { names: name.into(), digest: Digest::sha256(&[number]) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_is_tried_again_and_what_is_gone_never() {
        let (now, images) = (Instant::now(), [image(1), image(2)]);
        let mut removals = Removals::default();
        removals.adopt(&images, now);
        assert_eq!(removals.choose(&images, now), Some(&images[0]));
        removals.enter(&images[0], Leaving::InUse, now);
        assert_eq!(removals.choose(&images, now), Some(&images[1]));
        removals.enter(&images[1], Leaving::Gone, now);
        assert_eq!(
            (removals.choose(&images, now), removals.next_due()),
            (None, Some(now + LOOK_AGAIN))
        );
        let later = now + LOOK_AGAIN;
        assert_eq!(removals.choose(&images, later), Some(&images[0]));
        removals.enter(&images[0], Leaving::Gone, later);
        assert_eq!((removals.choose(&images, later), removals.next_due()), (None, None));
        assert_eq!(removals.state(&images[0]), Leaving::Gone);
        removals.adopt(&images[1..], later);
        assert_eq!(removals.state(&images[0]), Leaving::Waiting, "forgotten");
    }
}
