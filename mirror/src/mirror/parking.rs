//! Requests that hold a download slot and get no byte: two may wait, a third may not (ADR 8).
//!
//! containerd has three slots for all its pulls. While blobs of one image wait for their source in all
//! of them, no other pull gets anywhere. containerd queues what has no slot, so the mirror cannot see
//! who waits; it keeps the third slot moving instead.

use std::{pin::Pin, sync::Arc};

use tokio::{
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, timeout},
};

/// Requests of the runtime that may wait for bytes at a time: all of containerd's slots but one.
const PARKED: usize = 2;

/// The places of those that wait.
#[derive(Debug)]
pub(super) struct Parking {
    spaces: Arc<Semaphore>,
    crowded: Duration,
}

/// A place among those that wait; free again when this is dropped.
pub(super) type Space = OwnedSemaphorePermit;

/// What became of a request that waits.
#[derive(Debug)]
pub(super) enum Wait<T> {
    /// It has what it waited for.
    Over(T),
    /// It waits on, in this place.
    Parked(Space),
    /// All places are taken.
    Crowded,
}

// === impl Parking ===

impl Parking {
    /// A wait shorter than `crowded` needs no place.
    pub(super) fn new(crowded: Duration) -> Self {
        Self { spaces: Arc::new(Semaphore::new(PARKED)), crowded }
    }

    /// Waits for `arrival` as long as that needs no place, then takes one if one is free.
    pub(super) async fn wait<F: Future>(&self, arrival: Pin<&mut F>) -> Wait<F::Output> {
        match timeout(self.crowded, arrival).await {
            Ok(arrived) => Wait::Over(arrived),
            Err(_) => match Arc::clone(&self.spaces).try_acquire_owned() {
                Ok(space) => Wait::Parked(space),
                Err(_) => Wait::Crowded,
            },
        }
    }

    /// Waits for `arrival` without a place, and for a place, until `limit` has passed.
    pub(super) async fn hold<F: Future>(
        &self,
        arrival: Pin<&mut F>,
        limit: Duration,
    ) -> Wait<F::Output> {
        let free = Arc::clone(&self.spaces).acquire_owned();
        let either = async {
            select! {
                biased;
                arrived = arrival => Wait::Over(arrived),
                // The places are never closed, so this is one.
                Ok(space) = free => Wait::Parked(space),
            }
        };
        timeout(limit, either).await.unwrap_or(Wait::Crowded)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        pin::pin,
    };

    use super::*;

    const CROWDED: Duration = Duration::from_millis(700);

    async fn park(parking: &Parking) -> Wait<()> {
        parking.wait(pin!(pending())).await
    }

    #[tokio::test(start_paused = true)]
    async fn two_wait_and_a_third_may_not() {
        let parking = Parking::new(CROWDED);
        let (one, two) = (park(&parking).await, park(&parking).await);
        assert!(matches!((&one, &two), (Wait::Parked(_), Wait::Parked(_))));
        assert!(matches!(park(&parking).await, Wait::Crowded));
        drop(one);
        assert!(matches!(park(&parking).await, Wait::Parked(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_wait_needs_no_place() {
        let parking = Parking::new(CROWDED);
        let _two = (park(&parking).await, park(&parking).await);
        assert!(matches!(parking.wait(pin!(ready(7))).await, Wait::Over(7)));
        let soon = tokio::time::sleep(CROWDED / 2);
        assert!(matches!(parking.wait(pin!(soon)).await, Wait::Over(())));
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_on_gets_the_place_that_becomes_free() {
        let parking = Parking::new(CROWDED);
        let (one, _two) = (park(&parking).await, park(&parking).await);
        let limit = Duration::from_secs(4);
        assert!(matches!(parking.hold(pin!(pending::<()>()), limit).await, Wait::Crowded));
        let leaves = async {
            tokio::time::sleep(limit / 2).await;
            drop(one);
        };
        let never = pin!(pending::<()>());
        let (held, ()) = tokio::join!(parking.hold(never, limit), leaves);
        assert!(matches!(held, Wait::Parked(_)));
    }
}
