//! Keeps layers whose turn has not come out of the runtime's queue for download slots (ADR 30).
//!
//! A runtime that already has a layer's file open asks for it as soon as it has a slot. So the layers
//! after the first ones are reserved before it has the manifest that names them, and let go of in turn.

use std::{collections::VecDeque, sync::Arc};

use futures::{
    FutureExt,
    future::{join_all, select_all},
};
use tokio::{
    sync::watch,
    time::{Duration, Instant, timeout},
};
use tracing::debug;

use super::{Inner, order::UNDER_WAY, turn::LEAST};
use crate::{
    Digest,
    manifest::{Descriptor, Manifest},
    request::Name,
    reservation::Reservation,
    store::Presence,
};

/// Layers of one image that are reserved: images have at most 127.
const MOST: usize = 124;

/// For a reservation, beside the others of its manifest, which the runtime waits for.
const RESERVED: Duration = Duration::from_millis(500);

/// When nothing of an image came for so long all is let go of. By then what is under way comes from
/// the registry.
const NOTHING_CAME: Duration = Duration::from_secs(20);

/// A runtime that waits looks again after two seconds at the latest, so layers are let go of so long before
/// their turn. At full speed that is at once for images that come within two seconds.
const LOOKS_AGAIN: Duration = Duration::from_secs(2);

/// For how long bytes have to come before they tell a pace: the first ones were on their way together.
const MEASURED: Duration = Duration::from_millis(250);

/// The large layers of an image, and those that are reserved.
struct Reserved {
    layers: Vec<Layer>,
    /// By their places among the layers, in their order.
    later: VecDeque<(usize, Box<dyn Reservation>)>,
    pace: Pace,
}

struct Layer {
    size: u64,
    presence: watch::Receiver<Option<Presence>>,
}

/// How fast an image comes.
#[derive(Default)]
struct Pace {
    /// Bytes that were left when it was looked at first.
    all: Option<u64>,
    /// When the first bytes had come, and how many were left then.
    began: Option<(Instant, u64)>,
    left: u64,
}

impl Inner {
    /// Reserves what is not in turn, before the runtime has the manifest. Alone, a node takes layers as
    /// they come.
    pub(super) async fn reserve(self: &Arc<Self>, name: &Name, manifest: &Manifest) {
        let large = manifest.children.iter().filter(|child| child.size >= LEAST);
        let large: Vec<_> = large.take(UNDER_WAY + MOST).collect();
        let Some(first) = large.get(UNDER_WAY) else { return };
        if !name.by_containerd || self.participant.is_alone(&first.digest) {
            return;
        }
        let later = large.iter().enumerate().skip(UNDER_WAY);
        let later = later.map(|(place, layer)| self.reserve_one(place, layer));
        let later: VecDeque<_> = join_all(later).await.into_iter().flatten().collect();
        if later.is_empty() {
            return;
        }
        debug!(layers = later.len(), "reserved until it is their turn");
        let layers = large.iter().map(|layer| self.followed(&layer.digest, layer.size)).collect();
        self.participant.run(Reserved { layers, later, pace: Pace::default() }.release_in_turn());
    }

    async fn reserve_one(
        &self,
        place: usize,
        layer: &Descriptor,
    ) -> Option<(usize, Box<dyn Reservation>)> {
        let reserved = timeout(RESERVED, self.store.reserve(&layer.digest, layer.size));
        Some((place, reserved.await.ok()??))
    }

    fn followed(&self, layer: &Digest, size: u64) -> Layer {
        Layer { size, presence: self.store.follow(layer) }
    }
}

// === impl Reserved ===

impl Reserved {
    async fn release_in_turn(mut self) {
        while let Some((place, _)) = self.later.front() {
            let place = *place;
            let lefts: Vec<_> = self.layers.iter_mut().map(Layer::left).collect();
            let now = Instant::now();
            self.pace.note(lefts.iter().sum(), now);
            if self.pace.is_within(until_turn(&lefts[..place]), LOOKS_AGAIN, now) {
                self.release_next().await;
                continue;
            }
            let changes = self.layers.iter_mut().map(|layer| layer.presence.changed().boxed());
            match timeout(NOTHING_CAME, select_all(changes)).await {
                Ok((Ok(()), ..)) => {}
                // Nothing comes, or the store has ended.
                Ok((Err(_), ..)) | Err(_) => break,
            }
        }
        while !self.later.is_empty() {
            self.release_next().await;
        }
    }

    async fn release_next(&mut self) {
        if let Some((_, reservation)) = self.later.pop_front() {
            reservation.release().await;
        }
    }
}

/// The bytes that come until fewer than [`UNDER_WAY`] of the layers with these bytes left are missing,
/// where the first ones come at the same pace.
fn until_turn(lefts: &[u64]) -> u64 {
    let mut lefts: Vec<_> = lefts.iter().copied().filter(|left| *left > 0).collect();
    let mut bytes = 0;
    while let Some(under_way) = lefts.get_mut(..UNDER_WAY) {
        let least = under_way.iter().copied().min().unwrap_or(0);
        for left in under_way {
            *left -= least;
            bytes += least;
        }
        lefts.retain(|left| *left > 0);
    }
    bytes
}

// === impl Pace ===

impl Pace {
    /// So much of the image is left. What came first begins the measure.
    fn note(&mut self, left: u64, now: Instant) {
        let all = *self.all.get_or_insert(left);
        if left < all && self.began.is_none() {
            self.began = Some((now, left));
        }
        self.left = left;
    }

    /// Whether `bytes` come within `time`.
    fn is_within(&self, bytes: u64, time: Duration, now: Instant) -> bool {
        let measured =
            self.began.map(|(began, left)| (now - began, left.saturating_sub(self.left)));
        bytes == 0
            || measured.is_some_and(|(took, came)| {
                let fits =
                    u128::from(bytes) * took.as_millis() <= u128::from(came) * time.as_millis();
                took >= MEASURED && fits
            })
    }
}

// === impl Layer ===

impl Layer {
    /// Bytes that are not here.
    fn left(&mut self) -> u64 {
        match *self.presence.borrow_and_update() {
            Some(Presence::Growing { have, .. }) => self.size.saturating_sub(have),
            Some(Presence::Complete { .. }) => 0,
            None => self.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use tokio::time::sleep;

    use super::*;

    const MIB: u64 = 1 << 20;
    const SIZE: u64 = 64 * MIB;

    /// Notes its place when it is released.
    struct Note(usize, Arc<Mutex<Vec<usize>>>);

    #[async_trait]
    impl Reservation for Note {
        async fn release(self: Box<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    type Presences = Vec<watch::Sender<Option<Presence>>>;

    /// Six layers, of which nothing is here, and where those are noted that are released: the fourth and
    /// the sixth are reserved.
    fn six() -> (Presences, Reserved, Arc<Mutex<Vec<usize>>>) {
        let (presences, layers): (Vec<_>, _) = (0..6)
            .map(|_| watch::channel(None))
            .map(|(presence, seen)| (presence, Layer { size: SIZE, presence: seen }))
            .unzip();
        let noted = Arc::<Mutex<Vec<usize>>>::default();
        let note = |place| (place, Box::new(Note(place, Arc::clone(&noted))) as _);
        let later = [3, 5].map(note).into();
        (presences, Reserved { layers, later, pace: Pace::default() }, noted)
    }

    #[test]
    fn a_turn_comes_when_fewer_than_three_before_it_are_missing() {
        for (lefts, bytes) in [
            (&[9, 9, 9][..], 27),
            (&[9, 0, 9], 0),
            (&[1, 9, 9], 3),
            (&[1, 9, 0, 9, 2], 3 + 6),
            (&[1, 9, 9, 2, 3], 3 + 6 + 9),
        ] {
            assert_eq!(until_turn(lefts), bytes, "{lefts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_layer_is_let_go_of_shortly_before_its_turn() {
        let (presences, reserved, noted) = six();
        let comes = async {
            // Three layers at 4 MiB a second each.
            for have in (0..=SIZE / MIB).map(|have| have * MIB) {
                for presence in &presences[..3] {
                    presence.send_replace(Some(Presence::Growing { have, total: None }));
                }
                sleep(Duration::from_millis(250)).await;
                let is_near = SIZE - have <= 8 * MIB;
                // The fifth is not reserved, so the sixth is not behind more than the fourth is.
                let released: &[usize] = if is_near { &[3, 5] } else { &[] };
                assert_eq!(*noted.lock().unwrap(), released, "{have}");
            }
        };
        tokio::join!(reserved.release_in_turn(), comes);
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_image_that_comes_within_two_seconds_all_are_let_go_of() {
        let (presences, reserved, noted) = six();
        let comes = async {
            for have in [1, 16] {
                presences[0].send_replace(Some(Presence::Growing { have, total: None }));
                sleep(MEASURED).await;
            }
            presences[0].send_replace(Some(Presence::Growing { have: SIZE, total: None }));
        };
        let started = Instant::now();
        tokio::join!(reserved.release_in_turn(), comes);
        assert_eq!((started.elapsed(), noted.lock().unwrap().len()), (2 * MEASURED, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_let_go_of_when_nothing_comes() {
        let (_presences, reserved, noted) = six();
        let started = Instant::now();
        reserved.release_in_turn().await;
        assert_eq!((started.elapsed(), noted.lock().unwrap().len()), (NOTHING_CAME, 2));
    }
}
