//! Which layers a node fetches at a time.

use super::{At, Client, Doing, Event, Life, NodeId, START_SPREAD, SimPattern, World};
use crate::sim::agenda::Nanos;

/// Layers that containerd fetches at a time, by default.
const SLOTS: usize = 3;

/// From a layer's last byte to its announcement: the runtime syncs and renames the file, the agent
/// hears of it.
const COMMIT: Nanos = 250_000_000;

impl World<'_> {
    /// Sets the scene.
    pub(super) fn begin(&mut self) {
        for node in 0..self.nodes.len() {
            let wait = self.random.below(START_SPREAD);
            match (self.config.pattern, node) {
                (SimPattern::Staged, 0) => self.seed(node),
                (SimPattern::Planned, 0) => self.agenda.at(0, Event::Start(node)),
                _ => self.agenda.at(wait, Event::Start(node)),
            }
        }
    }

    /// A node that has pulled before.
    fn seed(&mut self, node: NodeId) {
        self.nodes[node].queue.clear();
        for layer in 0..self.layers.len() {
            let at = At { node, layer };
            self.part(at).have = self.layers[layer].pieces;
            self.part(at).doing = Doing::Complete;
            self.holders[layer].push(node);
            self.tell_from_now_on(at);
        }
        self.nodes[node].life = Life::Done(0);
        self.pulling -= 1;
    }

    /// Begins as many layers as the client fetches at a time.
    pub(super) fn fill(&mut self, node: NodeId) {
        let most = match self.nodes[node].client {
            Client::Runtime => SLOTS,
            Client::Warm => 1,
        };
        while self.nodes[node].open < most && self.open_next(node) {}
    }

    /// The warm path has nothing to do in the layers that it has open.
    pub(super) fn caught_up(&mut self, node: NodeId) {
        if self.nodes[node].client == Client::Warm {
            self.open_next(node);
        }
    }

    fn open_next(&mut self, node: NodeId) -> bool {
        let Some(layer) = self.nodes[node].queue.pop_front() else { return false };
        self.nodes[node].open += 1;
        let (now, at) = (self.now(), At { node, layer });
        let part = self.part(at);
        part.request += 1;
        part.since = now;
        part.claimed_at = None;
        let request = part.request;
        self.ask(at);
        self.watch_from_now_on(at, request);
        true
    }

    /// A layer is all here. Its slot is free as soon as its body ends.
    pub(super) fn all_here(&mut self, at: At) {
        self.close(at);
        let part = self.part(at);
        part.doing = match part.doing {
            Doing::Following(parent) => Doing::Committing(Some(parent)),
            _ => Doing::Committing(None),
        };
        part.epoch += 1;
        self.agenda.after(COMMIT, Event::Committed(at));
        let node = &mut self.nodes[at.node];
        node.open -= 1;
        if node.parts.iter().zip(&self.layers).all(|(part, layer)| part.have == layer.pieces) {
            node.life = Life::Done(self.agenda.now());
            self.pulling -= 1;
        } else {
            self.fill(at.node);
        }
    }

    /// A layer is complete, and can be announced.
    pub(super) fn committed(&mut self, at: At) {
        if !self.nodes[at.node].is_dead() {
            self.part(at).doing = Doing::Complete;
            self.holders[at.layer].push(at.node);
            self.tell_from_now_on(at);
        }
    }
}
