//! What nodes tell their coordinators.

use onepull_mirror::claim::{Advice, Progress, SLOTS, Stage, timing::HEARTBEAT};

use super::{At, Doing, Event, World, asking::nanos};
use crate::sim::agenda::Nanos;

/// A node to which nothing came for this long takes no part any more.
const IDLE: Nanos = 10_000_000_000;

/// A node whose other layers grew within this time is busy with them.
const BUSY: Nanos = 2_000_000_000;

impl World<'_> {
    /// Tells at once, and every second from now on.
    pub(super) fn tell_from_now_on(&mut self, at: At) {
        let now = self.now();
        let part = self.part(at);
        part.active = now;
        let begins = !std::mem::replace(&mut part.beats, true);
        if begins {
            self.agenda.after(nanos(HEARTBEAT), Event::Beat(at));
        }
        self.tell(at);
    }

    pub(super) fn beat(&mut self, at: At) {
        let now = self.now();
        if self.nodes[at.node].is_dead() || !self.parts(at).beats {
            return;
        }
        let part = self.part(at);
        if !part.followers.is_empty() {
            part.active = now;
        }
        if now >= part.active + IDLE {
            self.say_gone(at);
            return;
        }
        self.agenda.after(nanos(HEARTBEAT), Event::Beat(at));
        self.tell(at);
    }

    /// Says how far it is; it may be promoted.
    pub(super) fn tell(&mut self, at: At) {
        let node = &self.nodes[at.node];
        let stage = match node.parts[at.layer].doing {
            Doing::Idle | Doing::Claiming | Doing::Outside => return,
            Doing::Following(parent) | Doing::Committing(Some(parent)) => {
                Stage::Following { parent: self.nodes[parent].peer.endpoint }
            }
            Doing::Complete => Stage::Complete,
            Doing::Leading | Doing::Committing(None) => {
                let since = self.now().saturating_sub(BUSY);
                let waits = node.parts[at.layer].have == 0 && node.is_busy_beside(at.layer, since);
                if waits { Stage::Queued } else { Stage::Leading }
            }
        };
        let advice = self.report(at, stage);
        if advice == Advice::Lead && matches!(self.parts(at).doing, Doing::Following(_)) {
            self.lead(at);
        }
    }

    /// Leaves the room, until it claims again.
    pub(super) fn say_gone(&mut self, at: At) {
        self.part(at).beats = false;
        self.report(at, Stage::Gone);
    }

    fn report(&mut self, at: At, state: Stage) -> Advice {
        let now = self.instant();
        let (node, layer) = (&self.nodes[at.node], &self.layers[at.layer]);
        let part = &node.parts[at.layer];
        let children = u32::try_from(part.followers.len()).unwrap_or(u32::MAX);
        let progress = Progress {
            digest: layer.digest,
            node: node.peer.clone(),
            have: layer.bytes(part.have),
            total: Some(layer.size),
            state,
            may_lead: node.may_lead,
            patient: false,
            free_slots: SLOTS.saturating_sub(children),
        };
        self.tally.reports += 1;
        self.coordinators[at.layer].progress(&progress, now)
    }
}
