//! The death of the lead, and what a controller does about it.

use super::{At, Client, Event, Life, SimPattern, World};
use crate::sim::{agenda::Nanos, node::NodeId};

/// From the death of a planned run's seed to another seed: the silence that makes it dead, and a
/// controller's next look.
const REPLAN: Nanos = 5_000_000_000;

impl World<'_> {
    /// Kills the node to which the registry sent most.
    pub(super) fn kill_lead(&mut self) {
        let alive = |node: &NodeId| self.nodes[*node].life == Life::Pulling;
        let nodes = (0..self.nodes.len()).filter(alive);
        let Some(lead) = nodes.max_by_key(|node| self.nodes[*node].upstream) else { return };
        self.nodes[lead].life = Life::Dead;
        self.pulling -= 1;
        self.tally.killed = Some(lead);
        for layer in 0..self.layers.len() {
            let at = At { node: lead, layer };
            self.close(at);
            for stream in self.parts(at).followers.clone() {
                self.agenda.after(self.config.hop(), Event::Lost(stream));
            }
        }
        if self.config.pattern == SimPattern::Planned {
            self.agenda.after(REPLAN, Event::Replan);
        }
    }

    /// Makes the node that has most the seed.
    pub(super) fn replan(&mut self) {
        let alive = |node: &NodeId| self.nodes[*node].life == Life::Pulling;
        let nodes = (0..self.nodes.len()).filter(alive);
        if let Some(seed) = nodes.max_by_key(|node| self.nodes[*node].pieces()) {
            self.nodes[seed].may_lead = true;
            self.nodes[seed].client = Client::Runtime;
            self.fill(seed);
        }
    }
}
