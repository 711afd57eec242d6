//! How far the warmer is, for whoever asks.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use onepull_api::NodeReason;
use onepull_mirror::{Digest, Store, declared::MOST_DECLARED};
use tokio::{sync::watch, time::Instant};

use super::{books::Books, ledger::State, plan::Plan, pulls::have, removals::Leaving};
use crate::{
    desired::{DesiredImage, DesiredState, UnwantedImage},
    origins::{Mark, Origin, Origins},
    status::{ImageStatus, NodeStatus, Phase, RemovalStatus},
};

/// What the warmer shows. It alone writes.
#[derive(Debug, Default)]
pub(crate) struct Board {
    posted: Mutex<Posted>,
    changes: watch::Sender<()>,
    origins: Origins,
}

#[derive(Debug, Default)]
struct Posted {
    desired: Arc<DesiredState>,
    states: HashMap<DesiredImage, (State, Instant)>,
    leaving: Vec<Leaving>,
    /// By digest, so that nothing is forgotten when the source or the names of an image change.
    notes: HashMap<Digest, Note>,
}

/// What was learned of an image.
#[derive(Clone, Debug)]
struct Note {
    plan: Option<Arc<Plan>>,
    written: Arc<AtomicU64>,
    declared: Mark,
    origin: Origin,
}

/// How many images there are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) held: usize,
    pub(crate) failed: usize,
}

// === impl Board ===

impl Board {
    /// Shows where the bytes of blobs came from by `origins`.
    pub(crate) fn new(origins: Origins) -> Self {
        Self { origins, ..Self::default() }
    }

    /// Tells when a state has changed. Bytes do not count.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Shows the states of the images that are declared now.
    pub(crate) fn post(&self, desired: &Arc<DesiredState>, books: &Books) -> Count {
        let count = self.lock().post(desired, books, self.origins.mark());
        self.changes.send_replace(());
        count
    }

    pub(crate) fn note_plan(&self, image: &DesiredImage, plan: Arc<Plan>) {
        let mut posted = self.lock();
        if let Some(note) = posted.notes.get_mut(&image.digest) {
            note.plan = Some(plan);
        }
    }

    /// What an image consists of, once that is known.
    pub(crate) fn plan(&self, image: &DesiredImage) -> Option<Arc<Plan>> {
        self.lock().notes.get(&image.digest).and_then(|note| note.plan.clone())
    }

    /// The counter of bytes that were written for an image.
    pub(crate) fn written(&self, image: &DesiredImage) -> Arc<AtomicU64> {
        let posted = self.lock();
        posted.notes.get(&image.digest).map_or_else(Arc::default, |note| Arc::clone(&note.written))
    }

    /// All of it, with what the store has by now.
    pub(crate) fn status(&self, store: &dyn Store, now: Instant) -> NodeStatus {
        let mut posted = self.lock();
        let desired = Arc::clone(&posted.desired);
        posted.notes.values_mut().for_each(|note| note.ask(&self.origins));
        let images = desired.images.iter();
        let removals = desired.unwanted.iter().zip(&posted.leaving);
        NodeStatus {
            problem: desired.problem.clone(),
            images: images.map(|image| posted.image(image, store, now)).collect(),
            removals: removals.map(|(image, leaving)| removal(image, leaving)).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        // Every critical section leaves the maps whole, even if a panic poisoned the lock.
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Posted ===

impl Posted {
    fn post(&mut self, desired: &Arc<DesiredState>, books: &Books, now: Mark) -> Count {
        self.desired = Arc::clone(desired);
        let entry = |image: &DesiredImage| {
            let entry = books.images.get(image)?;
            Some((image.clone(), (entry.state.clone(), entry.since)))
        };
        self.states = desired.images.iter().filter_map(entry).collect();
        self.leaving = desired.unwanted.iter().map(|it| books.removals.state(it)).collect();
        let declared: HashSet<_> = desired.images.iter().map(|image| image.digest).collect();
        self.notes.retain(|image, _| declared.contains(image));
        for image in declared.into_iter().take(MOST_DECLARED) {
            self.notes.entry(image).or_insert_with(|| Note::new(now));
        }
        Count::of(self.states.values().map(|(state, _)| state))
    }

    fn image(&self, image: &DesiredImage, store: &dyn Store, now: Instant) -> ImageStatus {
        let (state, since) = match self.states.get(image) {
            Some((state, since)) => (state.clone(), *since),
            None => (State::Waiting, now),
        };
        let note = self.notes.get(&image.digest).cloned().unwrap_or_else(Note::unknown);
        let (phase, reason, error) = match state {
            State::Waiting => (Phase::Waiting, None, None),
            State::Warming => (Phase::Warming, None, None),
            State::Held => (Phase::Held, None, None),
            State::NeedsUpstream(error) => {
                (Phase::NeedsUpstream, Some(NodeReason::NoPeerHasIt), Some(error))
            }
            State::Failed(reason, error) => (Phase::Failed, Some(reason), Some(error)),
        };
        let total = note.plan.as_ref().map(|plan| plan.bytes());
        let here =
            |plan: &Arc<Plan>| plan.digests().map(|it| have(*store.follow(&it).borrow())).sum();
        let done = match phase {
            // The runtime may have dropped layers that it has unpacked.
            Phase::Held => total,
            _ => note.plan.as_ref().map(here),
        };
        ImageStatus {
            name: image.names.first().to_string(),
            also: image.names.iter().skip(1).map(ToString::to_string).collect(),
            digest: image.digest.to_string(),
            source: image.source,
            state: phase,
            seconds: now.saturating_duration_since(since).as_secs(),
            bytes_done: done,
            bytes_total: total,
            bytes_from_peers: note.peers(),
            bytes_from_upstream: note.origin.upstream,
            blobs_complete: note.plan.as_ref().is_some_and(|plan| plan.is_complete(store)),
            reason,
            error,
        }
    }
}

// === impl Note ===

impl Note {
    fn new(declared: Mark) -> Self {
        let (written, origin) = (Arc::default(), Origin::default());
        Self { plan: None, written, declared, origin }
    }

    /// Of an image that nobody has noted yet.
    fn unknown() -> Self {
        Self::new(Mark::default())
    }

    /// Takes over what became complete since.
    fn ask(&mut self, origins: &Origins) {
        let Some(plan) = &self.plan else { return };
        for origin in plan.digests().filter_map(|blob| origins.take(&blob, self.declared)) {
            self.origin.upstream += origin.upstream;
            self.origin.peers += origin.peers;
        }
    }

    /// What was written is known at once, what the mirror handed over once a blob is complete.
    fn peers(&self) -> u64 {
        self.written.load(Ordering::Relaxed).max(self.origin.peers)
    }
}

// === impl Count ===

impl Count {
    fn of<'a>(states: impl Iterator<Item = &'a State>) -> Self {
        states.fold(Self::default(), |mut count, state| {
            match state {
                State::Held => count.held += 1,
                State::NeedsUpstream(_) | State::Failed(..) => count.failed += 1,
                State::Waiting | State::Warming => {}
            }
            count
        })
    }
}

fn removal(image: &UnwantedImage, leaving: &Leaving) -> RemovalStatus {
    let (reason, error) = match leaving {
        Leaving::Waiting | Leaving::Gone => (None, None),
        Leaving::InUse => (Some(NodeReason::ImageInUse), Some("a container uses it".to_owned())),
        Leaving::Failed(error) => (Some(NodeReason::RuntimeFailed), Some(error.clone())),
    };
    RemovalStatus {
        name: image.names.first().to_string(),
        digest: image.digest.to_string(),
        is_gone: *leaving == Leaving::Gone,
        reason,
        error,
    }
}
