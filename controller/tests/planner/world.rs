//! A small cluster that does what plans say: nodes download, fail, die, come and are relabelled; caches
//! are edited and deleted; tags move.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use onepull_controller::planner::{
    Digest, Hold, Inputs, Node, NodeName, Plan, Report, Source, State, Trouble, TroubleKind, plan,
};

use crate::build::{GIB, noon};

/// An image has four quarters, and an agent gets one in a tick.
const QUARTERS: u64 = 4;

/// The agent of a node, and what is on the node's disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agent {
    /// Its pulls fail.
    pub(crate) broken: bool,
    /// It does nothing and says nothing.
    pub(crate) silent: bool,
    /// Containers use these.
    pub(crate) used: BTreeSet<Digest>,
    quarters: BTreeMap<Digest, u64>,
}

pub(crate) struct World {
    pub(crate) inputs: Inputs,
    pub(crate) agents: BTreeMap<NodeName, Agent>,
    pub(crate) now: Timestamp,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { inputs: Inputs::default(), agents: BTreeMap::new(), now: noon() }
    }

    pub(crate) fn add(&mut self, node: Node) {
        self.agents.insert(node.name.clone(), Agent::default());
        self.inputs.nodes.retain(|old| old.name != node.name);
        self.inputs.nodes.push(node);
    }

    pub(crate) fn remove(&mut self, index: usize) {
        let node = self.inputs.nodes.remove(index);
        self.agents.remove(&node.name);
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.inputs, self.now)
    }

    /// Writes the lists of all nodes, and lets go who may.
    pub(crate) fn carry_out(&mut self, plan: &Plan) {
        for node in &mut self.inputs.nodes {
            let lists = &plan.nodes[&node.name];
            node.holds.clone_from(&lists.holds);
            node.removals.clone_from(&lists.removals);
        }
        self.inputs.history = plan.history.clone();
        self.inputs.caches.retain(|cache| !plan.caches[&cache.id].released);
    }

    /// Lets time pass, and every agent do one thing.
    pub(crate) fn tick(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        let others = self.inputs.nodes.clone();
        for node in &mut self.inputs.nodes {
            let agent = self.agents.get_mut(&node.name).unwrap();
            if !agent.silent {
                agent.work(node, &others, self.now);
            }
        }
    }
}

impl Agent {
    fn work(&mut self, node: &mut Node, others: &[Node], now: Timestamp) {
        let holds = node.holds.clone();
        node.reports.retain(|digest, _| {
            holds.iter().any(|hold| hold.digest == *digest)
                || node.removals.iter().any(|removal| removal.digest == *digest)
        });
        let mut busy = false;
        for hold in &holds {
            let waits = busy;
            let (state, trouble) = self.step(node, hold, others, &mut busy);
            let state = if waits && state == State::Warming { State::Waiting } else { state };
            self.report(node, &hold.digest, hold.generation, state, trouble, now);
        }
        for removal in node.removals.clone() {
            let state = match self.used.contains(&removal.digest) {
                true => State::Removing,
                false => State::Removed,
            };
            if state == State::Removed {
                self.quarters.remove(&removal.digest);
            }
            let generation = node.reports.get(&removal.digest).map_or(0, |old| old.generation);
            self.report(node, &removal.digest, generation, state, None, now);
        }
    }

    /// Gets one quarter, of one image.
    fn step(
        &mut self,
        node: &Node,
        hold: &Hold,
        others: &[Node],
        busy: &mut bool,
    ) -> (State, Option<Trouble>) {
        let have = self.quarters.get(&hold.digest).copied().unwrap_or(0);
        if have == QUARTERS {
            return (State::Warm, None);
        }
        if *busy {
            return (State::Warming, None);
        }
        if self.broken {
            let trouble = Trouble::new(TroubleKind::RuntimeFailed, "the runtime is broken");
            return (State::Failed, Some(trouble));
        }
        if hold.source == Source::Peers && !is_offered(node, &hold.digest, have, others) {
            return (State::NeedsUpstream, None);
        }
        *busy = true;
        self.quarters.insert(hold.digest.clone(), have + 1);
        (if have + 1 == QUARTERS { State::Warm } else { State::Warming }, None)
    }

    fn report(
        &self,
        node: &mut Node,
        digest: &Digest,
        generation: u64,
        state: State,
        trouble: Option<Trouble>,
        now: Timestamp,
    ) {
        let quarters = self.quarters.get(digest).copied().unwrap_or(0);
        let bytes = quarters * GIB / QUARTERS;
        let before = node.reports.get(digest);
        let since = before.filter(|old| old.state == state && old.bytes == bytes);
        let report = Report {
            generation,
            state,
            since: since.map_or(now, |old| old.since),
            complete: quarters == QUARTERS,
            in_use: self.used.contains(digest),
            bytes,
            total: Some(GIB),
            upstream: 0,
            trouble,
        };
        node.reports.insert(digest.clone(), report);
    }
}

/// Whether another node has more of it.
fn is_offered(node: &Node, digest: &Digest, have: u64, others: &[Node]) -> bool {
    let others = others.iter().filter(|other| other.name != node.name && other.ready);
    let mut others = others.filter(|other| other.platform == node.platform);
    others.any(|other| {
        other.reports.get(digest).is_some_and(|report| report.bytes > have * GIB / QUARTERS)
    })
}
