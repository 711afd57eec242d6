//! What happens to a cluster: random deeds, and what each does to the world.

use jiff::SignedDuration;
use onepull_controller::{
    planner::{
        Cache, Disk, Node, OnDelete, Platform, Resolution, Share, Strategy, Trouble, TroubleKind,
    },
    window::Gate,
};
use proptest::{prelude::*, strategy::Strategy as Values};

use crate::{
    build::{GIB, cache, digest, image, labels, node},
    world::{Agent, World},
};

/// Images and pools are few, so that caches meet.
const NAMES: [&str; 4] = ["r.example/a:v1", "r.example/a:v2", "r.example/b:v1", "r.example/c:v1"];
const POOLS: [&str; 3] = ["", "gpu", "cpu"];

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Tick(u8),
    NodeComes { slot: u8, pool: bool, gib: u8, arm: bool },
    NodeGoes(u8),
    Ready(u8, bool),
    Relabel(u8, bool),
    Broken(u8, bool),
    Silent(u8, bool),
    Used(u8, u8, u8),
    Cache { slot: u8, names: u8, pool: u8, parallel: u8, staged: bool, remove: bool },
    Delete(u8),
    TagMoves { slot: u8, name: u8, to: u8 },
    Unresolved { slot: u8, name: u8 },
    Gate(u8, bool),
}

pub(crate) fn deed() -> impl Values<Value = Deed> {
    use Deed::*;
    prop_oneof![
        8 => (1u8..200).prop_map(Tick),
        2 => (0u8..7, any::<bool>(), 1u8..12, prop::bool::weighted(0.2))
            .prop_map(|(slot, pool, gib, arm)| NodeComes { slot, pool, gib, arm }),
        1 => (0u8..7).prop_map(NodeGoes),
        2 => (0u8..7, any::<bool>()).prop_map(|(node, ready)| Ready(node, ready)),
        1 => (0u8..7, any::<bool>()).prop_map(|(node, pool)| Relabel(node, pool)),
        2 => (0u8..7, any::<bool>()).prop_map(|(node, broken)| Broken(node, broken)),
        1 => (0u8..7, any::<bool>()).prop_map(|(node, silent)| Silent(node, silent)),
        1 => (0u8..7, 0u8..4, 0u8..3).prop_map(|(node, name, to)| Used(node, name, to)),
        4 => (0u8..3, 1u8..16, 0u8..3, 0u8..4, any::<bool>(), any::<bool>()).prop_map(
            |(slot, names, pool, parallel, staged, remove)|
                Cache { slot, names, pool, parallel, staged, remove }),
        1 => (0u8..3).prop_map(Delete),
        2 => (0u8..3, 0u8..4, 0u8..3).prop_map(|(slot, name, to)| TagMoves { slot, name, to }),
        1 => (0u8..3, 0u8..4).prop_map(|(slot, name)| Unresolved { slot, name }),
        1 => (0u8..3, any::<bool>()).prop_map(|(slot, open)| Gate(slot, open)),
    ]
}

fn word(name: u8, to: u8) -> String {
    format!("{}{to}", usize::from(name) % NAMES.len())
}

fn resolution(name: u8, to: u8) -> Resolution {
    image(&word(name, to), 1)
}

fn pool(gpu: bool) -> &'static str {
    if gpu { "gpu" } else { "cpu" }
}

impl World {
    pub(crate) fn apply(&mut self, deed: &Deed) {
        match deed.clone() {
            Deed::Tick(seconds) => self.tick(i64::from(seconds)),
            Deed::NodeComes { slot, pool: gpu, gib, arm } => {
                let room = u64::from(gib) * GIB;
                let mut fresh = node(&format!("node-{slot}"), pool(gpu));
                fresh.disk = Some(Disk { free: room, budget: room });
                fresh.platform = Platform::from(if arm { "linux/arm64" } else { "linux/amd64" });
                self.add(fresh);
            }
            Deed::NodeGoes(slot) => {
                if let Some(index) = self.index(slot) {
                    self.remove(index);
                }
            }
            Deed::Ready(slot, ready) => self.on_node(slot, |node| node.ready = ready),
            Deed::Relabel(slot, gpu) => {
                self.on_node(slot, |node| node.labels = labels(&format!("pool={}", pool(gpu))));
            }
            Deed::Broken(slot, broken) => self.on_agent(slot, |agent| agent.broken = broken),
            Deed::Silent(slot, silent) => self.on_agent(slot, |agent| agent.silent = silent),
            Deed::Used(slot, name, to) => self.on_agent(slot, |agent| {
                agent.used.insert(digest(&word(name, to)));
            }),
            Deed::Cache { slot, names, pool, parallel, staged, remove } => {
                self.put(slot, names, pool, parallel, staged, remove);
            }
            Deed::Delete(slot) => self.on_cache(slot, |cache| cache.deleting = true),
            Deed::TagMoves { slot, name, to } => self.on_cache(slot, |cache| {
                resolve(cache, name, resolution(name, to));
            }),
            Deed::Unresolved { slot, name } => self.on_cache(slot, |cache| {
                let trouble = Trouble::new(TroubleKind::RateLimited, "too many requests");
                resolve(cache, name, Resolution::Failed(trouble));
            }),
            Deed::Gate(slot, open) => self.on_cache(slot, |cache| {
                cache.gate = if open { Gate::ALWAYS } else { Gate::Closed { opens: None } };
            }),
        }
    }

    fn index(&self, slot: u8) -> Option<usize> {
        let name = format!("node-{slot}");
        self.inputs.nodes.iter().position(|node| node.name.as_str() == name)
    }

    fn on_node(&mut self, slot: u8, what: impl FnOnce(&mut Node)) {
        if let Some(index) = self.index(slot) {
            what(&mut self.inputs.nodes[index]);
        }
    }

    fn on_agent(&mut self, slot: u8, what: impl FnOnce(&mut Agent)) {
        if let Some(index) = self.index(slot) {
            what(self.agents.get_mut(&self.inputs.nodes[index].name).unwrap());
        }
    }

    fn on_cache(&mut self, slot: u8, what: impl FnOnce(&mut Cache)) {
        let name = format!("cache-{slot}");
        if let Some(cache) = self.inputs.caches.iter_mut().find(|cache| *cache.id.name == *name) {
            what(cache);
        }
    }

    /// Makes a cache, or edits the one that is there.
    fn put(&mut self, slot: u8, names: u8, pool: u8, parallel: u8, staged: bool, remove: bool) {
        let chosen = (0..4u8).filter(|name| names & (1 << name) != 0);
        let images: Vec<_> =
            chosen.map(|name| (NAMES[usize::from(name)], resolution(name, 0))).collect();
        let mut fresh = cache(&format!("cache-{slot}"), POOLS[usize::from(pool)], &images);
        fresh.created += SignedDuration::from_secs(i64::from(slot));
        fresh.max_parallel = match parallel {
            0 => Share::ALL,
            nodes => Share::Nodes(u32::from(nodes)),
        };
        fresh.strategy = if staged { Strategy::Staged } else { Strategy::Stream };
        fresh.on_delete = if remove { OnDelete::Remove } else { OnDelete::Keep };
        match self.inputs.caches.iter_mut().find(|cache| cache.id == fresh.id) {
            Some(old) => {
                let known = std::mem::take(&mut old.resolutions);
                fresh.resolutions.extend(known);
                fresh.deleting = old.deleting;
                *old = fresh;
            }
            None => self.inputs.caches.push(fresh),
        }
    }

    /// Everything works again.
    pub(crate) fn mend(&mut self) {
        for node in &mut self.inputs.nodes {
            node.ready = true;
        }
        for agent in self.agents.values_mut() {
            (agent.broken, agent.silent) = (false, false);
        }
        for cache in &mut self.inputs.caches {
            cache.gate = Gate::ALWAYS;
            cache.resolutions.retain(|_, resolution| matches!(resolution, Resolution::Resolved(_)));
            for (index, name) in NAMES.iter().enumerate() {
                let fallback = resolution(u8::try_from(index).unwrap(), 0);
                cache.resolutions.entry((*name).into()).or_insert(fallback);
            }
        }
    }
}

fn resolve(cache: &mut Cache, name: u8, to: Resolution) {
    cache.resolutions.insert(NAMES[usize::from(name)].into(), to);
}
