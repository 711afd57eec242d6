//! Few images of one registry at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Images that are resolved at one registry at once. Each asks one thing after another, so this is
/// also the number of requests: enough for 20 images a second at 50 ms an answer, and less than
/// one browser opens.
pub(crate) const AT_ONCE: usize = 4;

/// The turns at each registry that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    registries: Mutex<HashMap<String, Arc<Semaphore>>>,
}

// === impl Turns ===

impl Turns {
    /// Waits for a turn, which ends when the permit is dropped; first come, first served.
    pub(crate) async fn take(&self, registry: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut all = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
            // Registries that nobody asks or waits for are forgotten, so the map stays small.
            all.retain(|_, turns| Arc::strong_count(turns) > 1);
            let new = || Arc::new(Semaphore::new(AT_ONCE));
            all.entry(registry.to_owned()).or_insert_with(new).clone()
        };
        turns.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_registry_does_not_wait_for_another_and_is_forgotten_in_the_end() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.take("slow").await);
        }
        assert!(timeout(Duration::from_secs(60), turns.take("slow")).await.is_err());
        assert!(turns.take("other").await.is_some());
        held.pop();
        assert!(turns.take("slow").await.is_some());
        drop(held);
        let _ = turns.take("other").await;
        assert_eq!(turns.registries.lock().unwrap().len(), 1);
    }
}
