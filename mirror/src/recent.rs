//! Facts that hold for a while: a bounded map whose entries expire.

use std::{hash::Hash, sync::Mutex, sync::PoisonError};

use hashlink::LruCache;
use tokio::time::{Duration, Instant};

/// What was learned lately, by key. When it is full the entry that was learned first makes room, so a
/// flood of keys costs memory for `capacity` entries and no more.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: Mutex<LruCache<K, (V, Instant)>>,
    lifetime: Duration,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    /// Entries live for `lifetime`; at most `capacity` are kept.
    pub(crate) fn new(lifetime: Duration, capacity: usize) -> Self {
        Self { entries: Mutex::new(LruCache::new(capacity)), lifetime }
    }

    /// Learns `value` for `key`, from `now` on.
    pub(crate) fn insert(&self, key: K, value: V, now: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(key, (value, now + self.lifetime));
    }

    /// What is known about `key` at `now`. To be asked for keeps nothing here for longer.
    pub(crate) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.peek(key).filter(|(_, until)| *until > now).map(|(value, _)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_forgotten_after_its_lifetime() {
        let recent = Recent::new(LIFETIME, 8);
        let now = Instant::now();
        recent.insert("a", 1, now);
        assert_eq!(recent.get(&"a", now + LIFETIME - Duration::from_millis(1)), Some(1));
        assert_eq!(recent.get(&"a", now + LIFETIME), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_map_gives_up_the_oldest_entry() {
        let recent = Recent::new(LIFETIME, 2);
        let now = Instant::now();
        for (age, key) in ["a", "b", "c"].into_iter().enumerate() {
            recent.insert(key, age, now + Duration::from_millis(age as u64));
        }
        assert_eq!(["a", "b", "c"].map(|key| recent.get(&key, now)), [None, Some(1), Some(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_is_renewed_is_no_longer_the_oldest() {
        let recent = Recent::new(LIFETIME, 2);
        let now = Instant::now();
        for (value, key) in ["a", "b", "a", "c"].into_iter().enumerate() {
            recent.insert(key, value, now);
        }
        assert_eq!(["a", "b", "c"].map(|key| recent.get(&key, now)), [Some(2), None, Some(3)]);
    }
}
