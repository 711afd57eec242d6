//! What this node's part in one blob is: its role, how far it is by the clock, and who follows it in it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{
    sync::watch,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    Digest,
    claim::{Stage, timing::HEARTBEAT},
    sources::{Departure, Wanted},
    store::Presence,
};

/// A node to which nothing came for this long is no participant. Its pull failed, or waits for a
/// download slot, and will claim again when it has one; or the blob is complete and nobody follows
/// it any more, and whoever comes now finds it announced. Longer than a stream may stand still.
const IDLE: Duration = Duration::from_secs(16);

/// How long a lead may stand in its runtime's queue while other blobs arrive: long enough for 30 GB of
/// layers before it at 1 Gbit/s, and a pull that was given up does not hold a blob for ever.
const QUEUE: Duration = Duration::from_secs(300);

/// How long a lead in mid-blob may stand still while other blobs arrive. Streams that share a full link
/// share it unequally: one of three was seen to get 1 MiB in 3.5 s while the others got 20. With
/// [`crate::claim::timing::LAPSE`] after it another lead is found before the followers starve and all
/// go to the registry.
const HELD_UP: Duration = Duration::from_secs(4);

/// What a node does about a blob that it does not hold yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It takes it from upstream.
    Leading,
    /// It streams it from a peer.
    Following(SocketAddr),
}

/// This node's part in one blob.
#[derive(Debug)]
pub(super) struct Part {
    state: Mutex<State>,
    pub(super) changed: watch::Sender<()>,
    /// How many follow this node.
    children: AtomicU32,
}

/// A follower being served; it counts while this lives.
#[derive(Debug)]
pub(crate) struct Serving(Arc<Part>);

/// How a part stands.
#[derive(Debug)]
pub(super) struct State {
    pub(super) role: Role,
    pub(super) may_lead: bool,
    pub(super) patient: bool,
    promoted: CancellationToken,
    pub(super) departure: Departure,
    /// When the verdict came.
    entered: Instant,
    /// When a verdict or a byte came last, or the runtime was busy with other blobs.
    active: Instant,
    /// When a byte came last.
    pub(super) grew: Option<Instant>,
    /// The blob has been complete since the verdict.
    pub(super) completed: bool,
    /// Its request was sent away to ask again, or the runtime has dropped the blob.
    pub(super) sent_away: bool,
}

// === impl Part ===

impl Part {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            children: AtomicU32::new(0),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many follow this node.
    pub(super) fn children(&self) -> u32 {
        self.children.load(Ordering::Relaxed)
    }

    /// A new verdict for the same blob.
    pub(super) fn enter(&self, state: State) {
        let grew = self.state().grew;
        *self.state() = State { grew, ..state };
        self.changed.send_replace(());
    }

    pub(super) fn note(&self, has_grown: bool, now: Instant) {
        let mut state = self.state();
        if has_grown {
            state.grew = Some(now);
        }
        if has_grown || self.children() > 0 {
            state.active = now;
        }
    }

    /// The runtime has no slot for a blob that this node leads, or its other downloads take the link:
    /// it comes later, and is no less this node's. Returns whether that may be believed.
    pub(super) fn queue(&self, now: Instant) -> bool {
        let mut state = self.state();
        let until = state.grew.map_or(state.entered + QUEUE, |grew| grew + HELD_UP);
        let waits = state.role == Role::Leading && now < until;
        if waits {
            state.active = now;
        }
        waits
    }

    /// The runtime has dropped the blob, and no verdict has come since it was complete: nobody is to wait
    /// for it here.
    pub(super) fn is_deleted(&self) {
        let mut state = self.state();
        state.sent_away |= state.completed;
    }

    pub(super) fn stage(&self, presence: Option<Presence>, now: Instant) -> Stage {
        let state = self.state();
        match (presence, state.role) {
            _ if state.sent_away || state.is_idle(now) => Stage::Gone,
            (Some(Presence::Complete { .. }), _) => Stage::Complete,
            (_, Role::Leading) => Stage::Leading,
            (_, Role::Following(parent)) => Stage::Following { parent },
        }
    }

    pub(super) fn promote(&self, digest: &Digest) {
        let mut state = self.state();
        if state.role != Role::Leading && state.may_lead {
            info!(%digest, "the lead is gone; this node goes on in its place");
            state.role = Role::Leading;
            state.active = Instant::now();
            state.promoted.cancel();
        }
    }
}

// === impl State ===

impl State {
    pub(super) fn new(role: Role, wanted: &Wanted, now: Instant) -> Self {
        let (promoted, departure) = (wanted.promoted.clone(), wanted.departure.clone());
        let Wanted { may_lead, patient, .. } = *wanted;
        Self {
            role,
            may_lead,
            patient,
            promoted,
            departure,
            entered: now,
            active: now,
            grew: None,
            completed: false,
            sent_away: false,
        }
    }

    pub(super) fn is_in_queue(&self, now: Instant) -> bool {
        let waits = self.grew.is_none() && !self.completed && !self.sent_away;
        self.role == Role::Leading && waits && now >= self.entered + HEARTBEAT
    }

    pub(super) fn is_idle(&self, now: Instant) -> bool {
        now >= self.active + IDLE
    }
}

// === impl Serving ===

impl Serving {
    pub(super) fn new(part: Arc<Part>) -> Self {
        part.children.fetch_add(1, Ordering::Relaxed);
        Self(part)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.children.fetch_sub(1, Ordering::Relaxed);
    }
}
