//! The provider records that this node keeps, its own and those that others placed here.
//!
//! kad's own `MemoryStore` keeps a key's first twenty providers and hands them out in the order of
//! their arrival: late holders are never found, and the first ones carry every pull. This store
//! hands records out in a new random order each time, and when a key is full a newcomer takes a
//! random place, so that what is kept stays a fair sample. It also drops expired records by itself
//! and keeps a provider's addresses once, not once per record. Value records are refused.
//!
//! What others placed here can be looked at from outside the swarm's task ([`Others`]).

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map},
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{
    Multiaddr, PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result},
    },
};
use rand::{Rng, seq::SliceRandom};
use tokio::time::Instant;

/// Keys held at once, own ones included. In a cluster of up to 20 nodes every node holds every
/// key: 65,536 layers and manifests are some 5,000 images, and about 12 MiB when 3 nodes hold each.
const MOST_KEYS: usize = 65_536;

/// Providers kept per key. An answer carries 20 of them, so 128 is six times the choice that one
/// answer gives, while a base image on 5,000 nodes costs its keys 4 KiB each rather than 160.
const MOST_PROVIDERS_PER_KEY: usize = 128;

/// A node advertises one address per family; more than this would be somebody's mistake.
const MOST_ADDRESSES: usize = 4;

/// A record store for provider records alone.
pub(super) struct ProviderStore {
    local: PeerId,
    own: HashMap<RecordKey, ProviderRecord>,
    others: Others,
    /// Each provider once; the records share it.
    providers: HashMap<PeerId, Arc<Provider>>,
}

/// The records that others placed here. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Others(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    held: HashMap<RecordKey, Vec<Held>>,
    /// Keys of this node's own records, for which there is no other room.
    own: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Provider {
    id: PeerId,
    addresses: Vec<Multiaddr>,
}

#[derive(Debug)]
struct Held {
    provider: Arc<Provider>,
    expires: Option<std::time::Instant>,
}

// === impl ProviderStore ===

impl ProviderStore {
    pub(super) fn new(local: PeerId) -> Self {
        let (own, others, providers) = Default::default();
        Self { local, own, others, providers }
    }

    /// The addresses that came with a provider's latest record; empty when there is none.
    pub(super) fn addresses(&self, provider: &PeerId) -> Vec<Multiaddr> {
        self.providers.get(provider).map(|known| known.addresses.clone()).unwrap_or_default()
    }

    /// Drops what has expired by `now`, and the providers that no record names any more.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.others.lock().held.retain(|_, held| {
            held.retain(|record| !record.is_expired(now.into_std()));
            !held.is_empty()
        });
        self.providers.retain(|_, provider| Arc::strong_count(provider) > 1);
    }

    fn share(&mut self, id: PeerId, mut addresses: Vec<Multiaddr>) -> Arc<Provider> {
        addresses.truncate(MOST_ADDRESSES);
        let fresh = Provider { id, addresses };
        match self.providers.get(&id) {
            Some(known) if **known == fresh => known.clone(),
            _ => {
                let fresh = Arc::new(fresh);
                self.providers.insert(id, fresh.clone());
                fresh
            }
        }
    }

    /// What others placed here, now and from now on.
    pub(super) fn others(&self) -> Others {
        self.others.clone()
    }

    fn has_room_for(&self, key: &RecordKey) -> bool {
        let kept = self.others.lock();
        self.own.contains_key(key) || kept.held.contains_key(key) || kept.has_room()
    }
}

// === impl Others ===

impl Others {
    /// Whether none of them names a holder of `key` at `now`, and none was refused for want of room.
    pub(super) fn name_nobody(&self, key: &RecordKey, now: Instant) -> bool {
        let kept = self.lock();
        let mut held = kept.held.get(key).into_iter().flatten();
        kept.has_room() && held.all(|record| record.is_expired(now.into_std()))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Single insertions and removals.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    fn has_room(&self) -> bool {
        self.own + self.held.len() < MOST_KEYS
    }
}

impl RecordStore for ProviderStore {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Map<
        hash_map::Values<'a, RecordKey, ProviderRecord>,
        fn(&'a ProviderRecord) -> Cow<'a, ProviderRecord>,
    >;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Err(Error::ValueTooLarge)
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        if !self.has_room_for(&record.key) {
            return Err(Error::MaxProvidedKeys);
        }
        if record.provider == self.local {
            self.own.insert(record.key.clone(), record);
            self.others.lock().own = self.own.len();
            return Ok(());
        }
        let provider = self.share(record.provider, record.addresses);
        let fresh = Held { provider, expires: record.expires };
        let mut kept = self.others.lock();
        let held = kept.held.entry(record.key).or_default();
        let place = held.iter().position(|other| other.provider.id == record.provider);
        match place {
            Some(place) => held[place] = fresh,
            None if held.len() < MOST_PROVIDERS_PER_KEY => held.push(fresh),
            None => held[rand::rng().random_range(0..MOST_PROVIDERS_PER_KEY)] = fresh,
        }
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let now = Instant::now().into_std();
        let kept = self.others.lock();
        let others = kept.held.get(key).into_iter().flatten();
        let mut records: Vec<_> = others
            .filter(|held| !held.is_expired(now))
            .map(|held| ProviderRecord {
                key: key.clone(),
                provider: held.provider.id,
                expires: held.expires,
                addresses: held.provider.addresses.clone(),
            })
            .chain(self.own.get(key).cloned())
            .collect();
        records.shuffle(&mut rand::rng());
        records
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        self.own.values().map(Cow::Borrowed)
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if *provider == self.local {
            self.own.remove(key);
        }
        let mut kept = self.others.lock();
        kept.own = self.own.len();
        if let hash_map::Entry::Occupied(mut held) = kept.held.entry(key.clone()) {
            held.get_mut().retain(|record| record.provider.id != *provider);
            if held.get().is_empty() {
                held.remove();
            }
        }
    }
}

// === impl Held ===

impl Held {
    fn is_expired(&self, now: std::time::Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;

    fn key(name: &str) -> RecordKey {
        RecordKey::new(&name)
    }

    fn record(name: &str, provider: PeerId, lives: Duration) -> ProviderRecord {
        let addresses = vec!["/ip4/10.0.0.1/tcp/29902".parse().unwrap()];
        let mut record = ProviderRecord::new(key(name), provider, addresses);
        record.expires = Some((Instant::now() + lives).into_std());
        record
    }

    fn ids(store: &ProviderStore, name: &str) -> Vec<PeerId> {
        store.providers(&key(name)).into_iter().map(|record| record.provider).collect()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn each_provider_comes_first_some_time() {
        let mut store = ProviderStore::new(PeerId::random());
        let providers: HashSet<_> = (0..30).map(|_| PeerId::random()).collect();
        for provider in &providers {
            store.add_provider(record("layer", *provider, MINUTE)).unwrap();
        }
        let first: HashSet<_> = (0..2_000).map(|_| ids(&store, "layer")[0]).collect();
        assert_eq!(first, providers);
    }

    #[test]
    fn a_full_key_takes_newcomers_and_does_not_grow() {
        let mut store = ProviderStore::new(PeerId::random());
        for _ in 0..MOST_PROVIDERS_PER_KEY {
            store.add_provider(record("layer", PeerId::random(), MINUTE)).unwrap();
        }
        let newcomer = PeerId::random();
        store.add_provider(record("layer", newcomer, MINUTE)).unwrap();
        store.add_provider(record("layer", newcomer, MINUTE)).unwrap();
        let kept = ids(&store, "layer");
        assert_eq!(kept.len(), MOST_PROVIDERS_PER_KEY);
        assert_eq!(kept.iter().filter(|id| **id == newcomer).count(), 1);
    }

    #[test]
    fn an_expired_record_is_not_handed_out_and_its_memory_returns() {
        let mut store = ProviderStore::new(PeerId::random());
        let provider = PeerId::random();
        store.add_provider(record("layer", provider, Duration::ZERO)).unwrap();
        assert_eq!(ids(&store, "layer"), []);
        assert_eq!(store.addresses(&provider).len(), 1);
        store.sweep(Instant::now());
        assert!(store.others.lock().held.is_empty() && store.providers.is_empty());
    }

    #[test]
    fn others_name_a_holder_until_its_record_expires_and_nobody_for_sure_while_there_is_no_room() {
        let mut store = ProviderStore::new(PeerId::random());
        let (others, now) = (store.others(), Instant::now());
        assert!(others.name_nobody(&key("layer"), now));
        let provider = PeerId::random();
        store.add_provider(record("layer", provider, MINUTE)).unwrap();
        assert!(!others.name_nobody(&key("layer"), now));
        assert!(others.name_nobody(&key("other"), now));
        assert!(others.name_nobody(&key("layer"), now + 2 * MINUTE));
        for n in 1..MOST_KEYS {
            store.add_provider(record(&n.to_string(), provider, MINUTE)).unwrap();
        }
        assert!(store.add_provider(record("other", provider, MINUTE)).is_err());
        assert!(!others.name_nobody(&key("other"), now), "it may have been refused");
        store.remove_provider(&key("layer"), &provider);
        assert!(others.name_nobody(&key("layer"), now));
    }

    #[test]
    fn own_records_end_only_when_they_are_removed() {
        let local = PeerId::random();
        let mut store = ProviderStore::new(local);
        store.add_provider(ProviderRecord::new(key("layer"), local, Vec::new())).unwrap();
        store.sweep(Instant::now() + MINUTE);
        assert_eq!(ids(&store, "layer"), [local]);
        assert_eq!(store.provided().count(), 1);
        store.remove_provider(&key("layer"), &local);
        assert_eq!(ids(&store, "layer"), []);
    }
}
