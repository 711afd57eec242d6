//! A node asks its coordinator where a layer comes from, and does as it is told.

use onepull_mirror::claim::{Claim, Intent, MOST_LOST, Verdict, timing::ASK_AGAIN};
use tokio::time::Duration;

use super::{At, Doing, Event, NodeId, World};
use crate::sim::{agenda::Nanos, node::number};

/// A runtime's first requests for its layers are sent within this time of each other.
const REQUEST_SPREAD: Nanos = 20_000_000;

impl World<'_> {
    /// Asks the coordinator; not at once again when its last answer was of no use.
    pub(super) fn ask(&mut self, at: At) {
        let hop = self.config.hop();
        let part = self.part(at);
        let again = part.claimed_at.replace(part.have) == Some(part.have);
        part.doing = Doing::Claiming;
        part.epoch += 1;
        let epoch = part.epoch;
        let spread = if part.have == 0 { REQUEST_SPREAD } else { 0 };
        let wait = if again { nanos(ASK_AGAIN) } else { self.random.below(spread) };
        self.agenda.after(wait + hop, Event::Claim(at, epoch));
    }

    /// The claim is at the coordinator.
    pub(super) fn claim(&mut self, at: At, epoch: u32) {
        let now = self.instant();
        let (node, layer) = (&self.nodes[at.node], &self.layers[at.layer]);
        let part = &node.parts[at.layer];
        if part.epoch != epoch || node.is_dead() {
            return;
        }
        let claim = Claim {
            digest: layer.digest,
            node: node.peer.clone(),
            have: layer.bytes(part.have),
            may_lead: node.may_lead,
            patient: false,
            intent: Intent::Get,
            lost: part.lost.clone(),
            total: Some(layer.size),
        };
        let verdict = self.coordinators[at.layer].claim(&claim, now);
        self.tally.claims += 1;
        self.part(at).verdict = Some(verdict);
        self.agenda.after(self.config.hop(), Event::Verdict(at, epoch));
    }

    /// The verdict is at the node.
    pub(super) fn verdict(&mut self, at: At, epoch: u32) {
        if self.parts(at).epoch != epoch || self.nodes[at.node].is_dead() {
            return;
        }
        match self.part(at).verdict.take() {
            Some(Verdict::Lead) => self.lead(at),
            Some(Verdict::Follow(parents)) => {
                let part = self.part(at);
                // Who has nothing yet waits where the coordinator thinks.
                let tried = if part.have == 0 { 1 } else { parents.len() };
                let parents = parents.iter().take(tried);
                part.spares = parents.map(|parent| number(parent.peer.endpoint)).collect();
                self.follow_next(at);
            }
            Some(Verdict::NotYet) | None => self.ask(at),
        }
    }

    /// Streams from the next parent that has something, or asks again.
    pub(super) fn follow_next(&mut self, at: At) {
        self.close(at);
        while let Some(parent) = self.part(at).spares.pop_front() {
            if self.is_absent(parent, at) {
                self.lose(at, parent);
            } else if self.is_ahead(parent, at) {
                self.follow(at, parent);
                return;
            }
        }
        self.ask(at);
    }

    fn follow(&mut self, at: At, parent: NodeId) {
        let depth = self.nodes[parent].parts[at.layer].depth + 1;
        self.tally.deepest = self.tally.deepest.max(depth);
        let part = self.part(at);
        part.doing = Doing::Following(parent);
        part.epoch += 1;
        part.depth = depth;
        self.tell_from_now_on(at);
        // Telling may have made it the lead.
        if self.parts(at).doing == Doing::Following(parent) {
            self.open(at, parent);
        }
    }

    /// Goes to the registry, or to a node outside the storm that holds all of it.
    pub(super) fn lead(&mut self, at: At) {
        self.close(at);
        let part = self.part(at);
        part.doing = Doing::Leading;
        part.epoch += 1;
        part.depth = 0;
        let source = self.holder(at).unwrap_or(self.registry());
        self.tell_from_now_on(at);
        self.open(at, source);
    }

    /// Waited long enough: the runtime goes to the registry, whoever else does.
    pub(super) fn go_outside(&mut self, at: At) {
        self.close(at);
        let part = self.part(at);
        part.doing = Doing::Outside;
        part.epoch += 1;
        self.say_gone(at);
        self.open(at, self.registry());
    }

    pub(super) fn lose(&mut self, at: At, parent: NodeId) {
        let endpoint = self.nodes[parent].peer.endpoint;
        let lost = &mut self.part(at).lost;
        lost.retain(|other| *other != endpoint);
        if lost.len() == MOST_LOST {
            lost.remove(0);
        }
        lost.push(endpoint);
    }

    /// Whether a parent is dead, or takes no part in the layer.
    fn is_absent(&self, parent: NodeId, at: At) -> bool {
        let node = &self.nodes[parent];
        let part = &node.parts[at.layer];
        node.is_dead() || (part.doing == Doing::Idle && part.have == 0)
    }

    /// A parent has to be strictly ahead of a node that has something.
    fn is_ahead(&self, parent: NodeId, at: At) -> bool {
        let theirs = &self.nodes[parent].parts[at.layer];
        let mine = self.parts(at);
        mine.have == 0 || theirs.doing == Doing::Complete || theirs.have > mine.have
    }

    /// A living node that announced the layer.
    fn holder(&mut self, at: At) -> Option<NodeId> {
        let lost = &self.nodes[at.node].parts[at.layer].lost;
        let usable = |node: &NodeId| {
            let peer = &self.nodes[*node];
            *node != at.node && !peer.is_dead() && !lost.contains(&peer.peer.endpoint)
        };
        let holders: Vec<_> = self.holders[at.layer].iter().copied().filter(usable).collect();
        let chosen = usize::try_from(self.random.below(holders.len() as u64)).unwrap_or(0);
        holders.get(chosen).copied()
    }
}

/// A duration on the agenda.
pub(super) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
