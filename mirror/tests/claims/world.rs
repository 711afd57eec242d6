//! Simulated nodes that behave as real ones should: they ask, stream, report, lose parents and ask
//! again. The network takes no time; bytes flow one unit per tick along each edge.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
};

use onepull_mirror::{
    Peer,
    claim::{Advice, Claim, Coordinator, Intent, Progress, Stage, Verdict},
};
use tokio::time::{Duration, Instant};

use crate::support::{at, blob, node, number};

pub(crate) const TICK: Duration = Duration::from_millis(100);
const ASK_EVERY: u64 = 3;
const HEARTBEAT_EVERY: u64 = 10;
/// Ticks without a byte after which a follower gives its parent up.
const STALL: u64 = 50;
/// A claim unit is a megabyte, so that chains may be as long as the blob has units.
const UNIT: u64 = 1 << 20;

/// What a node is doing, truly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Wanting,
    Following(u16),
    Leading,
    Complete,
    Dead,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) peer: Peer,
    pub(crate) doing: Doing,
    pub(crate) have: u64,
    pub(crate) may_lead: bool,
    /// Which coordinator it asks.
    pub(crate) asks: usize,
    /// Its bytes stop while the clock is before this tick.
    pub(crate) stalled_until: u64,
    /// A unit reaches it, or leaves it, in one of so many ticks.
    pub(crate) receives_every: u64,
    pub(crate) sends_every: u64,
    /// Since when it has been told "not yet".
    pub(crate) wanting_since: u64,
    /// Whom it followed last.
    followed: Option<u16>,
    /// It has been told "not yet". Until it is told something else, its heartbeats still speak of whom it
    /// followed last.
    was_put_off: bool,
    lost: Vec<SocketAddr>,
    moved: u64,
}

pub(crate) struct World {
    pub(crate) coordinators: Vec<Coordinator>,
    pub(crate) nodes: BTreeMap<u16, Node>,
    pub(crate) total: u64,
    pub(crate) tick: u64,
    /// Units that came from the registry.
    pub(crate) egress: u64,
    /// Units that crossed zones.
    pub(crate) crossed: u64,
    /// The registry sends nothing before this tick.
    pub(crate) registry_from: u64,
    /// Of a hundred units, so many miss their tick.
    pub(crate) jitter: u64,
    /// How many ticks late a node's heartbeat reaches each coordinator.
    pub(crate) delays: Vec<u64>,
    start: Instant,
}

// === impl World ===

impl World {
    pub(crate) fn new(total: u64) -> Self {
        Self {
            coordinators: vec![Coordinator::default()],
            nodes: BTreeMap::new(),
            total,
            tick: 0,
            egress: 0,
            crossed: 0,
            registry_from: 0,
            jitter: 0,
            delays: vec![0],
            start: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + TICK * u32::try_from(self.tick).unwrap()
    }

    pub(crate) fn join(&mut self, id: u16, zone: Option<&str>, may_lead: bool, asks: usize) {
        self.nodes.entry(id).or_insert(Node {
            peer: node(id, zone),
            doing: Doing::Wanting,
            have: 0,
            may_lead,
            asks,
            stalled_until: 0,
            receives_every: 1,
            sends_every: 1,
            wanting_since: self.tick,
            followed: None,
            was_put_off: false,
            lost: Vec::new(),
            moved: self.tick,
        });
    }

    /// Ends a node without a word.
    pub(crate) fn kill(&mut self, id: u16) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.doing = Doing::Dead;
        }
    }

    pub(crate) fn leads(&self) -> Vec<u16> {
        let leads = self.nodes.iter().filter(|(_, node)| node.doing == Doing::Leading);
        leads.map(|(id, _)| *id).collect()
    }

    pub(crate) fn all_done(&self) -> bool {
        self.nodes.values().all(|node| matches!(node.doing, Doing::Complete | Doing::Dead))
    }

    /// Runs until all are done; says how many ticks that took.
    pub(crate) fn run(&mut self, most: u64) -> u64 {
        let start = self.tick;
        while !self.all_done() {
            self.step();
            assert!(self.tick - start <= most, "not done after {most} ticks: {}", self.state());
        }
        self.tick - start
    }

    /// What each node is doing, for messages of failed tests.
    pub(crate) fn state(&self) -> String {
        let node = |(id, node): (&u16, &Node)| format!("{id}: {:?} {}; ", node.doing, node.have);
        self.nodes.iter().map(node).collect()
    }

    /// One tick: ask, stream, report.
    pub(crate) fn step(&mut self) {
        let ids: Vec<u16> = self.nodes.keys().copied().collect();
        for id in &ids {
            self.look_for_source(*id);
        }
        self.stream(&ids);
        for id in &ids {
            self.report(*id);
        }
        self.tick += 1;
    }

    fn look_for_source(&mut self, id: u16) {
        let node = &self.nodes[&id];
        let broken = match node.doing {
            Doing::Following(parent) => {
                let dead = self.nodes.get(&parent).is_none_or(|node| node.doing == Doing::Dead);
                let behind = self.nodes.get(&parent).is_some_and(|other| other.have < node.have);
                (dead || behind || self.tick >= node.moved + STALL).then_some(parent)
            }
            _ => None,
        };
        if let Some(parent) = broken {
            self.lose(id, parent);
        }
        let node = &self.nodes[&id];
        if node.doing == Doing::Wanting
            && (self.tick - node.wanting_since).is_multiple_of(ASK_EVERY)
        {
            self.ask(id);
        }
    }

    /// The node's stream from `parent` breaks.
    pub(crate) fn lose(&mut self, id: u16, parent: u16) {
        let tick = self.tick;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.doing = Doing::Wanting;
            node.wanting_since = tick;
            (node.followed, node.was_put_off) = (Some(parent), false);
            node.lost.push(at(parent));
        }
    }

    fn ask(&mut self, id: u16) {
        let now = self.now();
        let node = &self.nodes[&id];
        let claim = Claim {
            digest: blob(),
            node: node.peer.clone(),
            have: node.have * UNIT,
            may_lead: node.may_lead,
            patient: false,
            intent: Intent::Get,
            lost: node.lost.iter().rev().take(8).copied().collect(),
            total: Some(self.total * UNIT),
        };
        let verdict = self.coordinators[node.asks].claim(&claim, now);
        let doing = match &verdict {
            Verdict::Lead => Doing::Leading,
            Verdict::Follow(parents) => Doing::Following(number(parents[0].peer.endpoint)),
            Verdict::NotYet => {
                self.nodes.get_mut(&id).unwrap().was_put_off = true;
                return;
            }
        };
        assert_ne!(doing, Doing::Following(id), "a node follows itself");
        self.start_on(id, doing);
        self.say(id);
    }

    fn start_on(&mut self, id: u16, doing: Doing) {
        let tick = self.tick;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.doing = doing;
            node.moved = tick;
        }
    }

    fn stream(&mut self, ids: &[u16]) {
        let before: BTreeMap<u16, Node> = self.nodes.clone();
        for id in ids {
            let node = &before[id];
            let upstream = match node.doing {
                Doing::Leading => self.tick >= self.registry_from,
                Doing::Following(parent) => before
                    .get(&parent)
                    .is_some_and(|parent| parent.doing != Doing::Dead && parent.have > node.have),
                _ => false,
            };
            if !upstream || self.tick < node.stalled_until || self.is_late(*id, &before) {
                continue;
            }
            match node.doing {
                Doing::Following(parent) => {
                    self.crossed += u64::from(before[&parent].peer.zone != node.peer.zone);
                }
                _ => self.egress += 1,
            }
            self.receive(*id);
        }
    }

    /// Whether this tick brings a node nothing although its source has something.
    fn is_late(&self, id: u16, nodes: &BTreeMap<u16, Node>) -> bool {
        let node = &nodes[&id];
        let sends_every = match node.doing {
            Doing::Following(parent) => nodes[&parent].sends_every,
            _ => 1,
        };
        let every = node.receives_every.max(sends_every);
        let mut dice = DefaultHasher::new();
        (id, self.tick).hash(&mut dice);
        !self.tick.is_multiple_of(every) || dice.finish() % 100 < self.jitter
    }

    /// From now on a node's link is so many times slower, both ways.
    pub(crate) fn slow_down(&mut self, id: u16, times: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        (node.receives_every, node.sends_every) = (times, times);
    }

    pub(crate) fn children(&self, id: u16) -> usize {
        self.nodes.values().filter(|node| node.doing == Doing::Following(id)).count()
    }

    fn receive(&mut self, id: u16) {
        let (tick, total) = (self.tick, self.total);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.have += 1;
        node.moved = tick;
        node.lost.clear();
        if node.have == total {
            node.doing = Doing::Complete;
            self.say(id);
        }
    }

    /// The heartbeats that are due; each coordinator hears them at its own time.
    fn report(&mut self, id: u16) {
        for which in 0..self.coordinators.len() {
            let phase = u64::from(id) + self.delays[which % self.delays.len()];
            if (self.tick + phase).is_multiple_of(HEARTBEAT_EVERY) {
                self.say_to(id, which);
            }
        }
    }

    fn say(&mut self, id: u16) {
        for which in 0..self.coordinators.len() {
            self.say_to(id, which);
        }
    }

    fn say_to(&mut self, id: u16, which: usize) {
        let node = &self.nodes[&id];
        let state = match (node.doing, node.followed.filter(|_| node.was_put_off)) {
            (Doing::Wanting, Some(parent)) => Stage::Following { parent: at(parent) },
            (Doing::Wanting, None) | (Doing::Dead, _) => return,
            (Doing::Following(parent), _) => Stage::Following { parent: at(parent) },
            (Doing::Leading, _) => Stage::Leading,
            (Doing::Complete, _) => Stage::Complete,
        };
        let progress = Progress {
            digest: blob(),
            node: node.peer.clone(),
            have: node.have * UNIT,
            total: Some(self.total * UNIT),
            state,
            may_lead: node.may_lead,
            patient: false,
            free_slots: 2u32.saturating_sub(u32::try_from(self.children(id)).unwrap()),
        };
        let now = self.now();
        let asked = self.nodes[&id].asks == which;
        match (self.coordinators[which].progress(&progress, now), self.nodes[&id].doing) {
            (Advice::Lead, _) => {
                self.start_on(id, Doing::Leading);
                self.say(id);
            }
            (Advice::Move, Doing::Following(parent)) if asked => self.lose(id, parent),
            _ => {}
        }
    }
}
