//! Tells the coordinators of a blob how far this node is, as long as it takes part.

use std::{net::SocketAddr, sync::Arc};

use futures::future::{join_all, pending};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, timeout};
use tracing::debug;

use super::{
    PARTS, Participant,
    part::{Part, Role, Serving, State},
};
use crate::{
    Digest, Peer,
    claim::{
        Advice, Progress, Stage,
        timing::HEARTBEAT,
        wire::{Advices, LARGEST_MESSAGE, Report},
    },
    peer::PROGRESS,
    sources::Wanted,
    store::Presence,
};

/// Followers that a node serves with one blob: one continues the pipeline, the other is there when a
/// parent died or a zone has to be entered. More would share the uplink of each.
pub(super) const SLOTS: u32 = 2;

/// A node whose other downloads grew within this time is busy with them. Two heartbeats, so that one
/// that grows slowly is not missed.
const BUSY: Duration = Duration::from_secs(2);

/// Coordinators that are told: the closest, and the one that takes over from it.
const TOLD: usize = 2;

// === impl Participant ===

impl Participant {
    /// Takes part in a blob, in a new role if it does already, until it is complete or nothing
    /// comes any more. Beyond [`PARTS`] it keeps silent, and others find it by its announcements.
    pub(crate) fn take_part(self: &Arc<Self>, wanted: &Wanted, role: Role) {
        let state = State::new(role, wanted, Instant::now());
        let mut parts = self.parts();
        if let Some(part) = parts.get(&wanted.digest) {
            part.enter(state);
        } else if parts.len() < PARTS {
            let part = Arc::new(Part::new(state));
            parts.insert(wanted.digest, Arc::clone(&part));
            self.run(Arc::clone(self).tell_until_done(wanted.digest, part));
        }
    }

    /// Resolves when this node gives up its place among those that wait for a blob: whoever waits
    /// for its bytes has to wait elsewhere.
    pub(crate) async fn is_sent_away(&self, digest: &Digest) {
        let part = self.parts().get(digest).cloned();
        let Some(part) = part else { return pending().await };
        let mut changed = part.changed.subscribe();
        while !part.state().sent_away && changed.changed().await.is_ok() {}
    }

    /// Leaves a blob of which nothing came, or comes any more, until it is claimed again.
    pub(crate) fn send_away(&self, digest: &Digest) {
        if let Some(part) = self.parts().get(digest) {
            part.state().sent_away = true;
            part.changed.send_replace(());
        }
    }

    /// Whether other blobs than `digest` are arriving here.
    fn is_busy_beside(&self, digest: &Digest) -> bool {
        let now = Instant::now();
        let busy = |part: &Part| part.state().grew.is_some_and(|grew| now < grew + BUSY);
        self.parts().iter().any(|(other, part)| other != digest && busy(part))
    }

    /// The peer that this node streams a blob from.
    pub(crate) fn parent_of(&self, digest: &Digest) -> Option<SocketAddr> {
        match self.parts().get(digest)?.state().role {
            Role::Following(parent) => Some(parent),
            Role::Leading => None,
        }
    }

    /// Whether this node leads a blob that its runtime has no slot for, it seems: nothing came for a second.
    pub(crate) fn leads_in_queue(&self) -> bool {
        let now = Instant::now();
        self.parts().values().any(|part| part.state().is_in_queue(now))
    }

    /// Whether this node takes part in a blob with others: it follows one, or is followed.
    pub(crate) fn shares(&self, digest: &Digest) -> bool {
        let is_shared = |part: &Arc<Part>| {
            let state = part.state();
            let follows = matches!(state.role, Role::Following(_)) && !state.sent_away;
            follows || part.children() > 0
        };
        self.parts().get(digest).is_some_and(is_shared)
    }

    /// Another node follows this one in a blob that it takes part in.
    pub(crate) fn serving(&self, digest: &Digest) -> Option<Serving> {
        self.parts().get(digest).cloned().map(Serving::new)
    }

    async fn tell_until_done(self: Arc<Self>, digest: Digest, part: Arc<Part>) {
        let mut presence = self.store.follow(&digest);
        let mut changed = part.changed.subscribe();
        let mut heartbeat = interval_at(Instant::now(), HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut have, mut told, mut last) = (0, None, Stage::Leading);
        loop {
            tokio::select! {
                biased;
                _ = heartbeat.tick() => {}
                _ = changed.changed() => {}
                // The first bytes and the last are news; those between can wait for the heartbeat.
                _ = presence.wait_for(|now| is_news(told, *now)) => {}
            }
            let stored = *presence.borrow_and_update();
            let now = farthest(stored, self.relay.presence(&digest));
            let grown = bytes(now);
            part.note(grown > have, Instant::now());
            if is_complete(told) && now.is_none() {
                part.is_deleted();
            }
            let waits = grown == have && self.is_busy_beside(&digest);
            let is_queued = waits && part.queue(Instant::now());
            if is_complete(stored) && !is_complete(told) {
                part.state().completed = true;
            }
            (have, told) = (grown, stored);
            let stage = match part.stage(now, Instant::now()) {
                Stage::Leading if is_queued => Stage::Queued,
                stage => stage,
            };
            // Who is gone says so once.
            if (stage, last) != (Stage::Gone, Stage::Gone) {
                self.tell(&digest, now, stage, &part).await;
            }
            last = stage;
            if stage == Stage::Gone && self.leave(&digest, &part) {
                break;
            }
        }
    }

    /// Ends a part, unless a new verdict has just made it go on.
    fn leave(&self, digest: &Digest, part: &Part) -> bool {
        let mut parts = self.parts();
        let is_idle = part.state().is_idle(Instant::now());
        if is_idle {
            parts.remove(digest);
        }
        is_idle
    }

    async fn tell(&self, digest: &Digest, presence: Option<Presence>, state: Stage, part: &Part) {
        let State { may_lead, patient, .. } = *part.state();
        let progress = Progress {
            digest: *digest,
            node: self.me.clone(),
            have: bytes(presence),
            total: total(presence),
            state,
            may_lead,
            patient,
            free_slots: SLOTS.saturating_sub(part.children()),
        };
        debug!(%digest, have = progress.have, stage = ?state, "telling");
        let coordinators = self.listeners(digest, Instant::now()).take(TOLD);
        let told = coordinators.map(|coordinator| self.tell_one(coordinator, &progress));
        let advice = join_all(told.collect::<Vec<_>>()).await;
        // The closest that answers knows all; the next may have heard of this node alone, from those
        // who find the closest silent sooner than others do.
        match (advice.into_iter().flatten().next(), state) {
            (Some(Advice::Lead), _) => part.promote(digest),
            (Some(Advice::Move), Stage::Following { parent }) => {
                part.state().departure.order(parent);
            }
            _ => {}
        }
    }

    async fn tell_one(&self, coordinator: Peer, progress: &Progress) -> Option<Advice> {
        if self.is_me(&coordinator) {
            return Some(self.note(progress));
        }
        let report = Report(vec![progress.clone()]).to_json();
        let post = self.client.post(coordinator.endpoint, PROGRESS, report, LARGEST_MESSAGE);
        let answer = timeout(HEARTBEAT, post).await;
        // A refusal says neither that it is there for claims nor that it is not.
        if !matches!(answer, Ok(Err(_))) {
            self.note_heard(coordinator.endpoint, answer.is_ok());
        }
        let Ok(Ok(body)) = answer else {
            debug!(coordinator = %coordinator.endpoint, "did not take the progress");
            return None;
        };
        Advices::parse(&body).ok()?.0.pop()
    }
}

/// What a node has of a blob: what its store has, or what it passes on ahead of that.
fn farthest(stored: Option<Presence>, passing: Option<Presence>) -> Option<Presence> {
    if bytes(passing) > bytes(stored) { passing } else { stored }
}

/// Whether the coordinators should hear of a change at once: a download began, ended or broke off.
fn is_news(told: Option<Presence>, now: Option<Presence>) -> bool {
    (told.is_some(), is_complete(told)) != (now.is_some(), is_complete(now))
}

fn is_complete(presence: Option<Presence>) -> bool {
    presence.is_some_and(Presence::is_complete)
}

fn bytes(presence: Option<Presence>) -> u64 {
    match presence {
        Some(Presence::Growing { have, .. }) => have,
        Some(Presence::Complete { size }) => size,
        None => 0,
    }
}

fn total(presence: Option<Presence>) -> Option<u64> {
    match presence? {
        Presence::Growing { total, .. } => total,
        Presence::Complete { size } => Some(size),
    }
}
