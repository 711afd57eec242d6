//! The simulated cluster: nodes, links, and a coordinator for each layer.
//!
//! The behaviour of a node is that of `onepull_mirror`'s `sources/claims.rs`, `fetch/pursuit.rs` and
//! `participant/{part,heartbeat}.rs`, told as events; the coordinators are the real ones.

use onepull_mirror::claim::{Coordinator, Counters};
use tokio::time::{Duration, Instant};

use super::{
    SimConfig, SimError, SimPattern,
    agenda::{Agenda, Nanos},
    image::{Layer, layers},
    links::{Intake, StreamId, Uplink},
    node::{Client, Doing, LayerId, Life, Node, NodeId, Part, peer, zone},
    random::Random,
};

mod asking;
mod death;
mod heartbeat;
mod pieces;
mod slots;
mod waiting;

use asking::nanos;

/// Nodes begin within this time of each other: what a scheduler needs to start pods on all nodes, or
/// the agents' watches to bring them a new desired state.
pub(super) const START_SPREAD: Nanos = 100_000_000;

/// A simulation that takes this much longer than no sharing at all has lost a node.
const MOST_TIMES: u64 = 4;
/// The same for small images.
const MOST_BESIDE: Nanos = 120_000_000_000;

/// A cluster under way.
pub(super) struct World<'a> {
    config: &'a SimConfig,
    layers: Vec<Layer>,
    nodes: Vec<Node>,
    /// One a node, and the registry's at last.
    uplinks: Vec<Uplink>,
    streams: Vec<Stream>,
    /// Who announced a layer, by layer.
    holders: Vec<Vec<NodeId>>,
    /// One a layer: digests have coordinators of their own.
    coordinators: Vec<Coordinator>,
    agenda: Agenda<Event>,
    start: Instant,
    random: Random,
    /// Pieces of one stream that may be on their way at a time.
    window: u32,
    /// Nodes that are not done.
    pulling: usize,
    /// Bytes from the registry at which the lead is killed.
    kill_at: Option<u64>,
    tally: Tally,
}

/// What is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) egress: u64,
    /// Bytes that came into each zone from outside, the registry included.
    pub(super) entered: Vec<u64>,
    /// Bytes that went from one zone to another.
    pub(super) crossed: u64,
    pub(super) claims: u64,
    pub(super) reports: u64,
    pub(super) deepest: u32,
    pub(super) killed: Option<NodeId>,
}

/// What came out.
pub(super) struct Finished {
    pub(super) tally: Tally,
    pub(super) counters: Counters,
    pub(super) events: u64,
    /// When each node was done; `None` for those that were killed.
    pub(super) nodes: Vec<Option<Nanos>>,
}

/// Pieces of one layer on their way from one party to another.
#[derive(Debug)]
struct Stream {
    /// A node, or the registry with the number after the last node's.
    from: usize,
    to: NodeId,
    layer: LayerId,
    /// The next piece to send.
    next: u32,
    in_flight: u32,
    /// Whether its sender is to send the next piece when its turn comes.
    ready: bool,
    /// Its share of an uplink that others want too.
    weight: u64,
    /// What it has had, by its weight.
    pass: u64,
    open: bool,
}

/// A part of a node, as events name it.
#[derive(Clone, Copy, Debug)]
struct At {
    node: NodeId,
    layer: LayerId,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A node begins.
    Start(NodeId),
    /// An uplink may choose its next piece.
    Freed(usize),
    /// A piece of a stream is in.
    Arrived(StreamId),
    /// A layer is committed.
    Committed(At),
    /// A stream broke off.
    Lost(StreamId),
    /// A claim reaches its coordinator, in an epoch.
    Claim(At, u32),
    /// A verdict reaches its node, in an epoch.
    Verdict(At, u32),
    /// A heartbeat is due.
    Beat(At),
    /// The deadlines of a request are looked at.
    Watch(At, u32),
    /// The lead dies.
    Kill,
    /// A planned run gets another seed.
    Replan,
}

// === impl World ===

impl<'a> World<'a> {
    pub(super) fn new(config: &'a SimConfig) -> Self {
        let count = config.nodes as usize;
        let layers = layers(config);
        let nodes = (0..count).map(|id| Node::new(id, config, layers.len()));
        let uplink = || Uplink::new(config.nic.bytes_per_second());
        let mut uplinks: Vec<_> = (0..count).map(|_| uplink()).collect();
        uplinks.push(Uplink::new(config.registry.bytes_per_second()));
        let percent = |percent: u32| config.image_size.bytes() / 100 * u64::from(percent);
        let tally = Tally { entered: vec![0; config.zones as usize], ..Tally::default() };
        let mut world = Self {
            nodes: nodes.collect(),
            uplinks,
            streams: Vec::new(),
            holders: vec![Vec::new(); layers.len()],
            coordinators: layers.iter().map(|_| Coordinator::default()).collect(),
            agenda: Agenda::new(),
            start: Instant::now(),
            random: Random::new(config.seed),
            window: config.window(),
            pulling: count,
            kill_at: config.kill_lead_at.map(percent),
            layers,
            tally,
            config,
        };
        world.begin();
        world
    }

    /// Runs until all nodes are done or dead.
    pub(super) fn run(mut self) -> Result<Finished, SimError> {
        let longest = self.config.direct_seconds(self.config.nodes);
        let longest = nanos(Duration::from_secs_f64(longest));
        let longest = longest.saturating_mul(MOST_TIMES).saturating_add(MOST_BESIDE);
        while self.pulling > 0 {
            let event = self.agenda.next().filter(|_| self.agenda.now() <= longest);
            let Some(event) = event else { return Err(SimError::Stuck(self.pulling)) };
            self.happen(event);
        }
        Ok(self.finish())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(node) => self.fill(node),
            Event::Freed(sender) => self.freed(sender),
            Event::Arrived(stream) => self.arrived(stream),
            Event::Committed(at) => self.committed(at),
            Event::Lost(stream) => self.lost(stream),
            Event::Claim(at, epoch) => self.claim(at, epoch),
            Event::Verdict(at, epoch) => self.verdict(at, epoch),
            Event::Beat(at) => self.beat(at),
            Event::Watch(at, request) => self.watch(at, request),
            Event::Kill => self.kill_lead(),
            Event::Replan => self.replan(),
        }
    }

    fn finish(self) -> Finished {
        let mut counters = Counters::default();
        for coordinator in &self.coordinators {
            let more = coordinator.counters();
            counters.leads += more.leads;
            counters.promotions += more.promotions;
            counters.moves += more.moves;
            counters.parted += more.parted;
            counters.impatient += more.impatient;
            counters.second_leads += more.second_leads;
            counters.turned_away += more.turned_away;
            counters.looked_at += more.looked_at;
        }
        let done = |node: &Node| match node.life {
            Life::Done(at) => Some(at),
            Life::Pulling | Life::Dead => None,
        };
        Finished {
            nodes: self.nodes.iter().map(done).collect(),
            events: self.agenda.added(),
            tally: self.tally,
            counters,
        }
    }

    /// The sender that is no node.
    fn registry(&self) -> usize {
        self.nodes.len()
    }

    fn now(&self) -> Nanos {
        self.agenda.now()
    }

    /// The same instant as coordinators know it.
    fn instant(&self) -> Instant {
        self.start + Duration::from_nanos(self.now())
    }

    fn part(&mut self, at: At) -> &mut Part {
        &mut self.nodes[at.node].parts[at.layer]
    }

    fn parts(&self, at: At) -> &Part {
        &self.nodes[at.node].parts[at.layer]
    }
}

// === impl Node ===

impl Node {
    fn new(id: NodeId, config: &SimConfig, layers: usize) -> Self {
        let seed = id == 0;
        let is_warm = config.pattern == SimPattern::Planned && !seed;
        Self {
            peer: peer(id, config.zones),
            zone: zone(id, config.zones),
            client: if is_warm { Client::Warm } else { Client::Runtime },
            may_lead: !is_warm,
            life: Life::Pulling,
            parts: (0..layers).map(|_| Part::default()).collect(),
            queue: (0..layers).collect(),
            open: 0,
            intake: Intake::new(config),
            upstream: 0,
        }
    }
}
