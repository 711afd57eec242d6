//! What is seen of all nodes from outside, and outlives their crashes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use onepull_mirror::{Digest, Metrics};

/// Shared by all nodes of a lab and whoever watches them.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Mutex<BTreeMap<String, Seen>>>);

/// What is seen of one node.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Bytes that reached it from the registry, all its lives together.
    pub(crate) from_registry: u64,
    /// Bytes of each blob that it has.
    pub(crate) have: BTreeMap<Digest, u64>,
    /// When its pull ended, in this life.
    pub(crate) ended: Option<Duration>,
    /// Whether it is crashed.
    pub(crate) down: bool,
    /// Whether its pull is to be given up, as a kubelet does it.
    pub(crate) given_up: bool,
    /// Why its pull failed.
    pub(crate) failed: Option<String>,
    /// The longest that its runtime waited for an answer of the mirror, and between two pieces.
    pub(crate) longest_answer: Duration,
    pub(crate) longest_pause: Duration,
    /// What it counts, in this life.
    pub(crate) metrics: Option<Metrics>,
    /// What it did, with the time.
    pub(crate) log: Vec<(Duration, String)>,
}

// === impl Board ===

impl Board {
    pub(crate) fn all(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.0.lock().unwrap()
    }

    /// What `look` sees of a node.
    pub(crate) fn see<T>(&self, name: &str, look: impl FnOnce(&Seen) -> T) -> T {
        look(self.all().entry(name.to_owned()).or_default())
    }

    pub(crate) fn note(&self, name: &str, change: impl FnOnce(&mut Seen)) {
        change(self.all().entry(name.to_owned()).or_default());
    }

    /// Bytes that the registry sent to all nodes.
    pub(crate) fn registry_bytes(&self) -> u64 {
        self.all().values().map(|seen| seen.from_registry).sum()
    }

    /// The longest that any runtime waited for an answer of its mirror, and between two pieces.
    pub(crate) fn longest_waits(&self) -> (Duration, Duration) {
        let all = self.all();
        let longest = |wait: fn(&Seen) -> Duration| all.values().map(wait).max();
        let answer = longest(|seen| seen.longest_answer);
        (answer.unwrap_or_default(), longest(|seen| seen.longest_pause).unwrap_or_default())
    }

    /// All that happened, for a comparison with another run.
    pub(crate) fn history(&self) -> Vec<String> {
        let all = self.all();
        let lines = all.iter().flat_map(|(name, seen)| {
            seen.log.iter().map(move |(at, what)| (*at, format!("{at:?} {name} {what}")))
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort_by_key(|(at, _)| *at);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

// === impl Seen ===

impl Seen {
    /// It has this much of a blob now.
    pub(crate) fn has(&mut self, digest: Digest, bytes: u64) {
        self.have.insert(digest, bytes);
    }

    /// Bytes of the image that it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.have.values().sum()
    }

    /// Bytes that it has sent to other nodes in this life.
    pub(crate) fn sent(&self) -> u64 {
        self.metrics.as_ref().map_or(0, |metrics| metrics.sent_to_peers.get())
    }

    pub(crate) fn log(&mut self, what: String) {
        self.log.push((now(), what));
    }
}

/// Since the simulation began.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap()
}
