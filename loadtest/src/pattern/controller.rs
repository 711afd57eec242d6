//! Which node takes the image from the registry, and when another one does. Pure.
//!
//! A controller in a cluster sees what the load test sees: what each node says of the image.

use onepull_agent::{
    desired::Source,
    status::{ImageStatus, Phase},
};
use tokio::time::{Duration, Instant};

/// How long complaints about a missing source are not heard after a move: a node waits 30 s for a
/// source, and 5 s until it tries again, so it may complain that long about what is mended.
const DEAF: Duration = Duration::from_secs(40);

/// Which node is told to ask the registry.
#[derive(Debug)]
pub(super) struct Controller {
    upstream: usize,
    /// Nodes that have been that; none is twice, so that a run ends.
    tried: Vec<bool>,
    states: Vec<Option<Phase>>,
    /// When it was moved last.
    moved: Option<Instant>,
}

/// Another node is to ask the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) reason: String,
}

// === impl Controller ===

impl Controller {
    /// The first of `nodes` asks the registry.
    pub(super) fn new(nodes: usize) -> Self {
        let tried = (0..nodes).map(|node| node == 0).collect();
        Self { upstream: 0, tried, states: vec![None; nodes], moved: None }
    }

    /// What a node is to be told.
    pub(super) fn source(&self, node: usize) -> Source {
        if node == self.upstream { Source::Upstream } else { Source::Peers }
    }

    /// Takes note of what a node says; returns what is to be changed.
    pub(super) fn hears(
        &mut self,
        node: usize,
        status: &ImageStatus,
        now: Instant,
    ) -> Option<Order> {
        if status.source != self.source(node) {
            // It has not heard yet what it was told last.
            return None;
        }
        self.states[node] = Some(status.state);
        let reason = self.reason(node, status, now)?;
        let to = self.next()?;
        let order = Order { from: self.upstream, to, reason };
        (self.states[order.from], self.states[to]) = (None, None);
        (self.upstream, self.tried[to], self.moved) = (to, true, Some(now));
        Some(order)
    }

    fn reason(&self, node: usize, status: &ImageStatus, now: Instant) -> Option<String> {
        let said = || status.error.clone().unwrap_or_default();
        match status.state {
            Phase::Failed if node == self.upstream => Some(said()),
            Phase::NeedsUpstream if self.most_need_it() && !self.is_deaf(now) => Some(said()),
            _ => None,
        }
    }

    /// Whether more than half of those that wait for peers find none.
    fn most_need_it(&self) -> bool {
        let followers = || self.states.iter().enumerate().filter(|(it, _)| *it != self.upstream);
        let needy = followers().filter(|(_, it)| **it == Some(Phase::NeedsUpstream)).count();
        let waiting = followers().filter(|(_, it)| **it != Some(Phase::Held)).count();
        2 * needy > waiting
    }

    fn is_deaf(&self, now: Instant) -> bool {
        self.moved.is_some_and(|moved| now < moved + DEAF)
    }

    /// The first node that has not been it and does not hold the image.
    fn next(&self) -> Option<usize> {
        (0..self.tried.len()).find(|it| !self.tried[*it] && self.states[*it] != Some(Phase::Held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(state: Phase, source: Source) -> ImageStatus {
        ImageStatus {
            name: "r.example/app:v1".into(),
            also: Vec::new(),
            digest: "sha256:1".into(),
            source,
            state,
            seconds: 0,
            bytes_done: None,
            bytes_total: None,
            bytes_from_peers: 0,
            bytes_from_upstream: 0,
            blobs_complete: false,
            reason: None,
            error: (state != Phase::Held).then(|| "no".into()),
        }
    }

    fn needy() -> ImageStatus {
        says(Phase::NeedsUpstream, Source::Peers)
    }

    fn order(from: usize, to: usize) -> Option<Order> {
        Some(Order { from, to, reason: "no".into() })
    }

    #[tokio::test(start_paused = true)]
    async fn another_node_asks_the_registry_when_the_first_fails_and_none_is_asked_twice() {
        let now = Instant::now();
        let failed = says(Phase::Failed, Source::Upstream);
        let mut controller = Controller::new(3);
        assert_eq!(controller.hears(1, &says(Phase::Held, Source::Peers), now), None);
        assert_eq!(controller.hears(0, &failed, now), order(0, 2));
        assert_eq!(controller.source(0), Source::Peers);
        assert_eq!(controller.hears(0, &failed, now), None, "it has not heard of the move");
        assert_eq!(controller.hears(2, &failed, now), None, "nobody is left");
    }

    #[tokio::test(start_paused = true)]
    async fn one_follower_without_a_source_moves_nothing_and_most_do() {
        let now = Instant::now();
        let mut controller = Controller::new(4);
        controller.hears(0, &says(Phase::Warming, Source::Upstream), now);
        assert_eq!(controller.hears(1, &needy(), now), None);
        assert_eq!(controller.hears(2, &needy(), now), order(0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn complaints_right_after_a_move_are_about_what_was_before() {
        let now = Instant::now();
        let mut controller = Controller::new(3);
        controller.hears(1, &needy(), now);
        assert_eq!(controller.hears(2, &needy(), now), order(0, 1));
        controller.hears(0, &needy(), now);
        assert_eq!(controller.hears(2, &needy(), now), None);
        assert_eq!(controller.hears(2, &needy(), now + DEAF), order(1, 2));
    }
}
