//! Keeps layers whose turn has not come out of the runtime's queue for download slots (ADR 30).
//!
//! A runtime that already has a layer's file open asks for it as soon as it has a slot. So the layers
//! after the first ones are reserved before it has the manifest that names them, and let go of in turn.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{
    FutureExt,
    future::{join_all, select_all},
};
use tokio::{
    sync::watch,
    time::{Duration, Instant, timeout, timeout_at},
};
use tracing::debug;

use super::{
    Inner,
    order::{UNDER_WAY, large_layers},
};
use crate::{
    Digest,
    manifest::{Descriptor, Manifest},
    request::Name,
    reservation::Reservation,
    store::Presence,
};

mod pace;

use pace::{Pace, until_turn};

/// Layers of one image that are reserved, each of which costs the runtime's database a write before it has
/// the manifest. The layers of an image after these are asked for as ever.
const MOST: usize = 29;

/// Layers that are reserved at a time.
const MOST_AT_ONCE: usize = 256;

/// For a reservation, beside the others of its manifest, which the runtime waits for.
const RESERVED: Duration = Duration::from_millis(500);

/// When nothing of an image came for so long all is let go of. By then what is under way comes from
/// the registry.
const NOTHING_CAME: Duration = Duration::from_secs(20);

/// A runtime that waits looks again after two seconds at the latest, so layers are let go of so long before
/// their turn. At full speed that is at once for images that come within two seconds.
pub(super) const LOOKS_AGAIN: Duration = Duration::from_secs(2);

/// A layer that a runtime could have asked for and did not within this time is one that it does not want,
/// unpacked already perhaps; or all its slots are taken, and order is a small matter.
const ASKED: Duration = Duration::from_millis(500);

/// What is reserved, by layer.
#[derive(Default)]
pub(super) struct Reservations(Mutex<HashMap<Digest, Kept>>);

struct Kept {
    /// The manifest in whose order it is let go of.
    manifest: Digest,
    reservation: Box<dyn Reservation>,
}

/// The pull that an image's layers are reserved for.
trait Pull: Send {
    /// Whether it has asked for a layer.
    fn has_asked_for(&self, layer: &Digest) -> bool;

    /// What is still reserved.
    fn take(&self, layer: &Digest) -> Option<Box<dyn Reservation>>;
}

/// A pull of the runtime that has begun.
struct Begun {
    mirror: Arc<Inner>,
    at: Instant,
}

/// The large layers of an image, and those that are reserved.
struct Reserved<P> {
    pull: P,
    layers: Vec<Layer>,
    /// The places among the layers of those that are reserved.
    later: VecDeque<usize>,
    pace: Pace,
}

struct Layer {
    digest: Digest,
    size: u64,
    presence: watch::Receiver<Option<Presence>>,
    /// Until when the pull is expected to ask for it; `None` while it cannot.
    asked_until: Option<Instant>,
}

impl Inner {
    /// Reserves what is not in turn, before the runtime has the manifest, and lets go of what other images
    /// keep from it. Alone, a node takes layers as they come.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        name: &Name,
        digest: Digest,
        manifest: &Manifest,
    ) {
        if !name.by_containerd {
            return;
        }
        let shared = self.reserved.of_others(&digest, &manifest.children);
        join_all(shared.into_iter().map(Reservation::release)).await;
        let mut each = HashSet::new();
        let large = large_layers(manifest).filter(|layer| each.insert(layer.digest));
        let large: Vec<_> = large.take(UNDER_WAY + MOST).collect();
        if large.len() <= UNDER_WAY || self.participant.is_alone(&digest) {
            return;
        }
        let later = large.iter().enumerate().skip(UNDER_WAY);
        let later = later.map(|(place, layer)| self.reserve_one(digest, place, layer));
        let later: VecDeque<_> = join_all(later).await.into_iter().flatten().collect();
        if later.is_empty() {
            return;
        }
        debug!(layers = later.len(), "reserved until it is their turn");
        let pull = Begun { mirror: Arc::clone(self), at: Instant::now() };
        let asked_until = |place| (!later.contains(&place)).then(|| pull.at + ASKED);
        let layers = large.iter().enumerate().map(|(place, layer)| Layer {
            digest: layer.digest,
            size: layer.size,
            presence: self.store.follow(&layer.digest),
            asked_until: asked_until(place),
        });
        let layers = layers.collect();
        self.participant
            .run(Reserved { pull, layers, later, pace: Pace::default() }.release_in_turn());
    }

    /// Returns its place.
    async fn reserve_one(
        &self,
        manifest: Digest,
        place: usize,
        layer: &Descriptor,
    ) -> Option<usize> {
        let reserved = timeout(RESERVED, self.store.reserve(&layer.digest, layer.size));
        let reservation = reserved.await.ok()??;
        self.reserved.insert(layer.digest, Kept { manifest, reservation }).then_some(place)
    }
}

// === impl Reservations ===

impl Reservations {
    /// Whether there was room for it.
    fn insert(&self, layer: Digest, kept: Kept) -> bool {
        let mut all = self.lock();
        let has_room = all.len() < MOST_AT_ONCE;
        if has_room {
            all.insert(layer, kept);
        }
        has_room
    }

    fn remove(&self, layer: &Digest) -> Option<Box<dyn Reservation>> {
        self.lock().remove(layer).map(|kept| kept.reservation)
    }

    /// Removes those of `layers` that are let go of in the order of another image than `manifest`.
    fn of_others(&self, manifest: &Digest, layers: &[Descriptor]) -> Vec<Box<dyn Reservation>> {
        let mut all = self.lock();
        let is_other = |layer: &&Descriptor| {
            all.get(&layer.digest).is_some_and(|kept| kept.manifest != *manifest)
        };
        let others: Vec<_> = layers.iter().filter(is_other).map(|layer| layer.digest).collect();
        others.iter().filter_map(|layer| Some(all.remove(layer)?.reservation)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        // Single insertions and removals.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pull for Begun {
    fn has_asked_for(&self, layer: &Digest) -> bool {
        self.mirror.order.was_asked_for(layer, self.at)
    }

    fn take(&self, layer: &Digest) -> Option<Box<dyn Reservation>> {
        self.mirror.reserved.remove(layer)
    }
}

// === impl Reserved ===

impl<P: Pull> Reserved<P> {
    async fn release_in_turn(mut self) {
        let mut moved = Instant::now();
        while let Some(place) = self.later.front().copied() {
            let now = Instant::now();
            let lefts = self.lefts(now);
            self.pace.note(self.here(), now);
            if self.pace.is_within(until_turn(&lefts[..place]), LOOKS_AGAIN, now) {
                self.release_next().await;
                continue;
            }
            let gives_up = moved + NOTHING_CAME;
            let asked_until = self.layers.iter().filter_map(|layer| layer.asked_until);
            let next = asked_until.filter(|until| *until > now).fold(gives_up, Instant::min);
            let changes = self.layers.iter_mut().map(|layer| layer.presence.changed().boxed());
            match timeout_at(next, select_all(changes)).await {
                Ok((Ok(()), ..)) => moved = Instant::now(),
                Err(_) if next < gives_up => {}
                // Nothing comes, or the store has ended.
                Ok((Err(_), ..)) | Err(_) => break,
            }
        }
        while !self.later.is_empty() {
            self.release_next().await;
        }
    }

    async fn release_next(&mut self) {
        let Some(place) = self.later.pop_front() else { return };
        let layer = &mut self.layers[place];
        layer.asked_until = Some(Instant::now() + LOOKS_AGAIN + ASKED);
        if let Some(reservation) = self.pull.take(&layer.digest) {
            reservation.release().await;
        }
    }

    /// Bytes of the image that are here.
    fn here(&self) -> u64 {
        let here = self.layers.iter().map(|layer| match *layer.presence.borrow() {
            Some(Presence::Growing { have, .. }) => have,
            Some(Presence::Complete { size }) => size,
            None => 0,
        });
        here.sum()
    }

    /// Of each layer, the bytes that are to come.
    fn lefts(&mut self, now: Instant) -> Vec<u64> {
        let pull = &self.pull;
        let lefts = self.layers.iter_mut().map(|layer| match *layer.presence.borrow_and_update() {
            Some(Presence::Growing { have, .. }) => layer.size.saturating_sub(have),
            Some(Presence::Complete { .. }) => 0,
            None if layer.asked_until.is_none_or(|until| now < until) => layer.size,
            None if pull.has_asked_for(&layer.digest) => layer.size,
            None => 0,
        });
        lefts.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use tokio::time::sleep;

    use super::{pace::MEASURED, *};

    const MIB: u64 = 1 << 20;
    const SIZE: u64 = 64 * MIB;

    /// A pull that asks for some layers, and what was let go of.
    #[derive(Clone)]
    struct Noted {
        asks: bool,
        released: Arc<Mutex<Vec<usize>>>,
    }

    struct Note(usize, Noted);

    #[async_trait]
    impl Reservation for Note {
        async fn release(self: Box<Self>) {
            self.1.released.lock().unwrap().push(self.0);
        }
    }

    impl Pull for Noted {
        fn has_asked_for(&self, _: &Digest) -> bool {
            self.asks
        }

        fn take(&self, layer: &Digest) -> Option<Box<dyn Reservation>> {
            let place = (0..6).find(|place| digest(*place) == *layer).unwrap();
            Some(Box::new(Note(place, self.clone())))
        }
    }

    impl Noted {
        fn released(&self) -> Vec<usize> {
            self.released.lock().unwrap().clone()
        }
    }

    fn digest(place: usize) -> Digest {
        Digest::sha256(&[u8::try_from(place).unwrap()])
    }

    type Presences = Vec<watch::Sender<Option<Presence>>>;

    /// Six layers, of which nothing is here; the fourth and the sixth are reserved. The pull `asks` for the
    /// others, or for none.
    fn six(asks: bool) -> (Presences, Reserved<Noted>, Noted) {
        let pull = Noted { asks, released: Arc::default() };
        let asked = Instant::now() + ASKED;
        let (presences, layers): (Vec<_>, _) = (0..6)
            .map(|place| (place, watch::channel(None)))
            .map(|(place, (presence, seen))| {
                let asked_until = (place != 3 && place != 5).then_some(asked);
                (presence, Layer { digest: digest(place), size: SIZE, presence: seen, asked_until })
            })
            .unzip();
        let later = [3, 5].into();
        (presences, Reserved { pull: pull.clone(), layers, later, pace: Pace::default() }, pull)
    }

    #[tokio::test(start_paused = true)]
    async fn a_layer_is_let_go_of_shortly_before_its_turn() {
        let (presences, reserved, noted) = six(true);
        let comes = async {
            // Three layers at 4 MiB a second each.
            for have in (0..=SIZE / MIB).map(|have| have * MIB) {
                for presence in &presences[..3] {
                    presence.send_replace(Some(Presence::Growing { have, total: None }));
                }
                sleep(Duration::from_millis(250)).await;
                // The fifth is not reserved, so the sixth is behind no more than the fourth is.
                let is_near = SIZE - have <= 8 * MIB;
                assert_eq!(noted.released(), if is_near { vec![3, 5] } else { vec![] }, "{have}");
            }
        };
        tokio::join!(reserved.release_in_turn(), comes);
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_image_that_comes_within_two_seconds_all_are_let_go_of() {
        let (presences, reserved, noted) = six(true);
        let comes = async {
            for have in [1, 16] {
                presences[0].send_replace(Some(Presence::Growing { have, total: None }));
                sleep(MEASURED).await;
            }
            presences[0].send_replace(Some(Presence::Growing { have: SIZE, total: None }));
        };
        let started = Instant::now();
        tokio::join!(reserved.release_in_turn(), comes);
        assert_eq!((started.elapsed(), noted.released()), (2 * MEASURED, vec![3, 5]));
    }

    #[tokio::test(start_paused = true)]
    async fn layers_that_are_not_asked_for_keep_no_other_waiting() {
        let (_presences, reserved, noted) = six(false);
        let started = Instant::now();
        reserved.release_in_turn().await;
        assert_eq!((started.elapsed(), noted.released()), (ASKED, vec![3, 5]));
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_let_go_of_when_nothing_comes() {
        let (_presences, reserved, noted) = six(true);
        let started = Instant::now();
        reserved.release_in_turn().await;
        assert_eq!((started.elapsed(), noted.released()), (NOTHING_CAME, vec![3, 5]));
    }

    #[test]
    fn what_another_image_keeps_is_let_go_of_for_this_one() {
        let noted = Noted { asks: true, released: Arc::default() };
        let (reservations, of) = (Reservations::default(), |text: &[u8]| Digest::sha256(text));
        for place in 0..2 {
            let reservation = Box::new(Note(place, noted.clone()));
            let kept = Kept { manifest: of(b"image"), reservation };
            assert!(reservations.insert(digest(place), kept));
        }
        let layers = [Descriptor { digest: digest(1), size: SIZE }];
        assert_eq!(reservations.of_others(&of(b"image"), &layers).len(), 0);
        assert_eq!(reservations.of_others(&of(b"other"), &layers).len(), 1);
        assert!(reservations.remove(&digest(1)).is_none());
        assert!(reservations.remove(&digest(0)).is_some());
    }
}
