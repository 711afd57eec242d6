//! How far the warmer is, for whoever asks.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use onepull_mirror::{Store, declared::MOST_DECLARED};
use tokio::time::Instant;

use super::{
    ledger::{Ledger, State},
    plan::Plan,
    pulls::have,
};
use crate::{
    desired::{DesiredImage, DesiredState},
    status::{ImageStatus, NodeStatus, Phase},
};

/// What the warmer shows. It alone writes.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Posted>);

#[derive(Debug, Default)]
struct Posted {
    desired: Arc<DesiredState>,
    states: HashMap<DesiredImage, (State, Instant)>,
    notes: HashMap<DesiredImage, Note>,
}

/// What was learned of an image.
#[derive(Clone, Debug, Default)]
struct Note {
    plan: Option<Arc<Plan>>,
    from_peers: Arc<AtomicU64>,
}

// === impl Board ===

impl Board {
    /// Shows the states of the images that are declared now; returns how many are held.
    pub(crate) fn post(&self, desired: &Arc<DesiredState>, ledger: &Ledger) -> usize {
        let mut posted = self.lock();
        posted.desired = Arc::clone(desired);
        let entry = |image: &DesiredImage| {
            let entry = ledger.get(image)?;
            Some((image.clone(), (entry.state.clone(), entry.since)))
        };
        posted.states = desired.images.iter().filter_map(entry).collect();
        posted.notes.retain(|image, _| desired.images.contains(image));
        posted.states.values().filter(|(state, _)| *state == State::Held).count()
    }

    pub(crate) fn note_plan(&self, image: &DesiredImage, plan: Arc<Plan>) {
        let mut posted = self.lock();
        if posted.notes.len() < MOST_DECLARED || posted.notes.contains_key(image) {
            posted.notes.entry(image.clone()).or_default().plan = Some(plan);
        }
    }

    pub(crate) fn knows_plan(&self, image: &DesiredImage) -> bool {
        self.lock().notes.get(image).is_some_and(|note| note.plan.is_some())
    }

    /// The counter of bytes that were written for an image.
    pub(crate) fn written(&self, image: &DesiredImage) -> Arc<AtomicU64> {
        let posted = self.lock();
        posted.notes.get(image).map_or_else(Arc::default, |note| Arc::clone(&note.from_peers))
    }

    /// All of it, with what the store has by now.
    pub(crate) fn status(&self, store: &dyn Store, now: Instant) -> NodeStatus {
        let posted = self.lock();
        let images = posted.desired.images.iter();
        NodeStatus {
            problem: posted.desired.problem.clone(),
            images: images.map(|image| posted.image(image, store, now)).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        // Every critical section leaves the maps whole, even if a panic poisoned the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Posted ===

impl Posted {
    fn image(&self, image: &DesiredImage, store: &dyn Store, now: Instant) -> ImageStatus {
        let (state, since) = match self.states.get(image) {
            Some((state, since)) => (state.clone(), *since),
            None => (State::Waiting, now),
        };
        let note = self.notes.get(image).cloned().unwrap_or_default();
        let (phase, error) = match state {
            State::Waiting => (Phase::Waiting, None),
            State::Warming => (Phase::Warming, None),
            State::Held => (Phase::Held, None),
            State::NeedsUpstream(error) => (Phase::NeedsUpstream, Some(error)),
            State::Failed(error) => (Phase::Failed, Some(error)),
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
            name: image.name.to_string(),
            digest: image.digest.to_string(),
            source: image.source,
            state: phase,
            seconds: now.saturating_duration_since(since).as_secs(),
            bytes_done: done,
            bytes_total: total,
            bytes_from_peers: note.from_peers.load(Ordering::Relaxed),
            error,
        }
    }
}
