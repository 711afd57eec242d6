//! Nodes, a registry and a network between them, step by step.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use onepull_mirror::{Deadlines, Digest, Peer, router::MemoryNetwork};
use turmoil::{Builder, Sim};

use crate::{
    board::{Board, Seen},
    image::Image,
    network::{PEER, REGISTRY},
    node::{self, Place},
    registry,
    router::distance,
    store::Disk,
};

/// The registry's host. Every node reaches it whatever happens between nodes.
const UPSTREAM: &str = "registry";

/// The way of a message: an idle network within a site, in steps of a millisecond.
const LATENCY: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(3)];

/// Messages that may be on their way on one connection, or wait to be accepted by one host. A
/// partition holds them back, and they come all at once when it ends.
const WINDOW: usize = 4096;

/// Steps in which a story must get where it wants to be: a minute. Fifteen seconds without a byte, the
/// worst that may happen to a pull, twice over, and the whole image from the registry after that.
const STEPS: u32 = 60_000;

/// A simulation under way.
pub(crate) struct Lab {
    sim: Sim<'static>,
    pub(crate) image: Arc<Image>,
    pub(crate) board: Board,
    nodes: Vec<Place>,
}

// === impl Lab ===

impl Lab {
    /// `nodes` nodes that all start to pull `image` at once.
    pub(crate) fn new(seed: u64, nodes: usize, image: Image) -> Self {
        Self::with_deadlines(seed, nodes, image, Deadlines::default())
    }

    /// The same with nodes that wait otherwise.
    pub(crate) fn with_deadlines(
        seed: u64,
        nodes: usize,
        image: Image,
        deadlines: Deadlines,
    ) -> Self {
        let image = Arc::new(image);
        let mut builder = Builder::new();
        builder.rng_seed(seed).simulation_duration(Duration::MAX).tcp_capacity(WINDOW);
        let builder = builder.min_message_latency(LATENCY[0]).max_message_latency(LATENCY[1]);
        let mut sim = builder.build();
        let served = Arc::clone(&image);
        sim.host(UPSTREAM, move || registry::run(Arc::clone(&served)));
        let registry = SocketAddr::new(sim.lookup(UPSTREAM), REGISTRY);
        let (network, board) = (MemoryNetwork::default(), Board::default());
        let nodes = (1..=nodes).map(|number| {
            let name = format!("n{number}");
            let address = SocketAddr::new(sim.lookup(name.as_str()), PEER);
            let (network, board, image) = (network.clone(), board.clone(), Arc::clone(&image));
            let disk = Disk::default();
            Place { name, address, registry, network, disk, image, board, deadlines }
        });
        let nodes: Vec<_> = nodes.collect();
        for place in nodes.clone() {
            network.join(place.peer());
            board.note(&place.name, |seen| *seen = Seen::default());
            sim.host(place.address.ip(), move || node::run(place.clone()));
        }
        Self { sim, image, board, nodes }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|place| place.name.clone()).collect()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// The node that coordinates the claims of `digest`.
    pub(crate) fn coordinator(&self, digest: &Digest) -> String {
        let closest = self.nodes.iter().min_by_key(|place| distance(digest, &place.peer()));
        closest.unwrap().name.clone()
    }

    /// The node that has most from the registry.
    pub(crate) fn lead(&self) -> String {
        let all = self.board.all();
        all.iter().max_by_key(|(_, seen)| seen.from_registry).unwrap().0.clone()
    }

    /// Bytes of the image that a node has.
    pub(crate) fn has(&self, name: &str) -> u64 {
        self.board.see(name, Seen::bytes)
    }

    /// The most that another node has.
    pub(crate) fn most_but(&self, name: &str) -> u64 {
        let all = self.board.all();
        let others = all.iter().filter(|(other, _)| *other != name);
        others.map(|(_, seen)| seen.bytes()).max().unwrap()
    }

    fn step(&mut self) {
        self.sim.step().unwrap();
    }

    /// Steps until `reached`.
    pub(crate) fn run_until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let is_reached = (0..STEPS).any(|_| {
            let is_reached = reached(self);
            if !is_reached {
                self.step();
            }
            is_reached
        });
        assert!(is_reached, "{what}: not in time\n{}", self.board.history().join("\n"));
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.elapsed() + duration;
        while self.elapsed() < end {
            self.step();
        }
    }

    /// Until every node that runs has its image, and none of them failed.
    pub(crate) fn finish(&mut self) {
        self.run_until("all pulls end", |lab| {
            lab.running().all(|name| lab.board.see(name, |seen| seen.ended.is_some()))
        });
        for name in self.running() {
            let history = || self.board.history().join("\n");
            let (failed, bytes) = self.board.see(name, |seen| (seen.failed.clone(), seen.bytes()));
            assert_eq!((failed, bytes), (None, self.image.size()), "{name}\n{}", history());
        }
    }

    fn running(&self) -> impl Iterator<Item = &str> {
        let names = self.nodes.iter().map(|place| place.name.as_str());
        names.filter(|name| !self.board.see(name, |seen| seen.down))
    }

    /// The node's process ends; its kernel says so to all.
    pub(crate) fn crash(&mut self, name: &str) {
        self.board.note(name, |seen| seen.down = true);
        self.sim.crash(name);
    }

    /// The node goes dark without a word.
    pub(crate) fn power_off(&mut self, name: &str) {
        self.links(&[name], Sim::partition);
        self.sim.partition(name, UPSTREAM);
        self.crash(name);
    }

    /// The node's pull is given up. The runtime hangs up; the node itself is well.
    pub(crate) fn give_up(&self, name: &str) {
        self.board.note(name, |seen| seen.given_up = true);
    }

    /// The node comes back with what is on its disk, and pulls again.
    pub(crate) fn restart(&mut self, name: &str) {
        self.links(&[name], Sim::repair);
        self.sim.repair(name, UPSTREAM);
        self.board.note(name, |seen| {
            (seen.down, seen.given_up) = (false, false);
            (seen.ended, seen.failed) = (None, None);
        });
        self.sim.bounce(name);
    }

    /// Cuts nodes off from the others, as a network does it: what is sent is sent again, and comes
    /// when they are [healed](Self::heal).
    pub(crate) fn cut(&self, names: &[&str]) {
        self.links(names, Sim::hold);
    }

    pub(crate) fn heal(&self, names: &[&str]) {
        self.links(names, Sim::release);
    }

    /// Every connection between these nodes and the others loses what is on it for good, and new ones
    /// are refused, until they are [mended](Self::mend).
    pub(crate) fn sever(&self, names: &[&str]) {
        self.links(names, Sim::partition);
    }

    pub(crate) fn mend(&self, names: &[&str]) {
        self.links(names, Sim::repair);
    }

    /// The network is busy from now on: a message between nodes takes `latency`.
    pub(crate) fn slow_down(&self, latency: Duration) {
        let names: Vec<_> = self.nodes.iter().map(|place| place.name.as_str()).collect();
        for name in &names {
            self.links(&[name], |sim, from, to| sim.set_link_latency(from, to, latency));
        }
    }

    /// Does something to each link between these nodes and the others.
    fn links<'a>(&'a self, names: &[&'a str], change: impl Fn(&Sim<'static>, &'a str, &'a str)) {
        let others = self.nodes.iter().map(|place| place.name.as_str());
        for other in others.filter(|other| !names.contains(other)) {
            names.iter().for_each(|&name| change(&self.sim, name, other));
        }
    }
}

// === impl Place ===

impl Place {
    fn peer(&self) -> Peer {
        Peer { endpoint: self.address, zone: None }
    }
}
