//! Counters that answer "what did it save": bytes by where they came from, hits and misses.
//!
//! Label sets are closed. Registry names come from requests, so only the first
//! [`REGISTRIES_NAMED`] get a label of their own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tokio::time::Duration;

use crate::claim::{Counters, Verdict};

mod labels;

pub use labels::{Claimed, End, Failure, Handshake, Origin, Outcome, Served, Upstream};

/// Registries with a label of their own; a node pulls from a handful, and a cluster of tenants from
/// dozens. All others share the label `other`.
pub const REGISTRIES_NAMED: usize = 64;

/// All counters of the data plane. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Bytes handed to the container runtime.
    pub sent: Family<Served, Counter>,
    /// Requests of the runtime that were answered with content.
    pub hits: Family<Served, Counter>,
    /// Requests of the runtime that were sent on to the registry with 404.
    pub misses: Family<Upstream, Counter>,
    /// Bytes taken from peers.
    pub received: Family<Served, Counter>,
    /// Bytes handed to peers from this node's store.
    pub sent_to_peers: Counter,
    /// Requests of peers refused because all upload slots were taken.
    pub uploads_refused: Counter,
    /// Searches for a node that holds a digest, by how long they took.
    pub lookups: Histogram,
    /// Searches that ended at their deadline.
    pub lookups_cut: Counter,
    /// Claims of this node, by verdict.
    pub claims: Family<Claimed, Counter>,
    /// Claims of this node, by how long they took.
    pub claim_times: Histogram,
    /// Nodes that this one, as a coordinator, told to lead.
    pub leads: Counter,
    /// Those of them that were following before.
    pub promotions: Counter,
    /// Nodes that this coordinator found leading beside the lead that it knew.
    pub second_leads: Counter,
    /// Requests of the runtime that were sent away to ask again.
    pub sent_away: Counter,
    /// Blobs whose bytes were not those of their digest.
    pub verification_failures: Counter,
    /// Copies in this node's store that are not those of their digest.
    pub damaged: Counter,
    /// Streams that went on from another peer at the byte reached.
    pub switches: Counter,
    /// Streams that left a slow or shared parent because the coordinator knew a better one.
    pub moves: Counter,
    /// Streams that broke off, so that the runtime went on from the registry.
    pub broken: Counter,
    /// Requests of `onepull-agent check`, the proof that the runtime asks this mirror.
    pub probes: Counter,
    /// Bytes that reached the runtime's store from the registry.
    pub upstream: Family<Upstream, Counter>,
    /// Open connections, of the runtime and of peers.
    pub connections: Gauge,
    /// Connections of peers that ended before both ends had proved themselves.
    pub handshakes_failed: Family<Handshake, Counter>,
    registries: Arc<Mutex<BTreeSet<String>>>,
}

impl Metrics {
    /// Makes the counters and lists them in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            sent: Family::default(),
            hits: Family::default(),
            misses: Family::default(),
            received: Family::default(),
            sent_to_peers: Counter::default(),
            uploads_refused: Counter::default(),
            lookups: Histogram::new(exponential_buckets(0.000_5, 2.0, 12)),
            lookups_cut: Counter::default(),
            claims: Family::default(),
            claim_times: Histogram::new(exponential_buckets(0.000_5, 2.0, 12)),
            leads: Counter::default(),
            promotions: Counter::default(),
            second_leads: Counter::default(),
            sent_away: Counter::default(),
            verification_failures: Counter::default(),
            damaged: Counter::default(),
            switches: Counter::default(),
            moves: Counter::default(),
            broken: Counter::default(),
            probes: Counter::default(),
            upstream: Family::default(),
            connections: Gauge::default(),
            handshakes_failed: Family::default(),
            registries: Arc::default(),
        };
        metrics.list_bytes(registry.sub_registry_with_prefix("onepull"));
        metrics.list_events(registry.sub_registry_with_prefix("onepull"));
        metrics.list_claims(registry.sub_registry_with_prefix("onepull"));
        metrics
    }

    fn list_bytes(&self, registry: &mut Registry) {
        let bytes = Unit::Bytes;
        let help = "Bytes handed to the container runtime";
        registry.register_with_unit("mirror_sent", help, bytes.clone(), self.sent.clone());
        let help = "Bytes taken from peers";
        registry.register_with_unit("mirror_received", help, bytes.clone(), self.received.clone());
        let help = "Bytes handed to peers";
        registry.register_with_unit("peer_sent", help, bytes.clone(), self.sent_to_peers.clone());
        let help = "Bytes that reached the container runtime from the registry";
        registry.register_with_unit("upstream", help, bytes, self.upstream.clone());
    }

    fn list_events(&self, registry: &mut Registry) {
        let help = "Requests of the runtime answered with content";
        registry.register("mirror_hits", help, self.hits.clone());
        let help = "Requests of the runtime left to the registry";
        registry.register("mirror_misses", help, self.misses.clone());
        let help = "Requests of the runtime sent away to ask again, so that others get their slot";
        registry.register("mirror_requests_sent_away", help, self.sent_away.clone());
        let help = "Requests of peers refused because all upload slots were taken";
        registry.register("peer_requests_refused", help, self.uploads_refused.clone());
        let help = "Time to learn which peers hold a digest";
        let seconds = Unit::Seconds;
        registry.register_with_unit("source_lookup", help, seconds, self.lookups.clone());
        let help = "Source lookups that ended at their deadline";
        registry.register("source_lookups_cut", help, self.lookups_cut.clone());
        let help = "Blobs whose bytes were not those of their digest";
        registry.register("verification_failures", help, self.verification_failures.clone());
        let help = "Copies in this node's store that are not those of their digest";
        registry.register("damaged_copies", help, self.damaged.clone());
        let help = "Streams that went on from another peer";
        registry.register("source_switches", help, self.switches.clone());
        let help = "Streams that left a slow or shared peer for a better one";
        registry.register("source_moves", help, self.moves.clone());
        let help = "Streams that broke off and were left to the registry";
        registry.register("streams_broken", help, self.broken.clone());
        let help = "Requests of onepull-agent check";
        registry.register("mirror_probe_requests", help, self.probes.clone());
        let help = "Open connections of the runtime and of peers";
        registry.register("connections", help, self.connections.clone());
        let help = "Connections of peers that ended before both had proved themselves";
        registry.register("peer_handshakes_failed", help, self.handshakes_failed.clone());
    }

    fn list_claims(&self, registry: &mut Registry) {
        let help = "Claims of this node";
        registry.register("claims", help, self.claims.clone());
        let help = "Time until a claim was answered, or given up";
        registry.register_with_unit("claim", help, Unit::Seconds, self.claim_times.clone());
        let help = "Nodes that this coordinator told to go to the registry";
        registry.register("coordinator_leads", help, self.leads.clone());
        let help = "Nodes that this coordinator told to, instead of a lead that died or stalled";
        registry.register("coordinator_promotions", help, self.promotions.clone());
        let help = "Nodes found going to the registry beside the lead that this coordinator knew";
        registry.register("coordinator_second_leads", help, self.second_leads.clone());
    }

    /// The label for a registry: its name, or `other` once too many have been named.
    pub fn registry_label(&self, name: &str) -> String {
        let mut named = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < REGISTRIES_NAMED && !named.contains(name) {
            named.insert(name.to_owned());
        }
        if named.contains(name) { name.to_owned() } else { "other".to_owned() }
    }

    /// The labels for bytes of `source`.
    pub fn served(&self, source: Origin, registry: &str) -> Served {
        Served { source, registry: self.registry_label(registry) }
    }

    /// The label for what concerns a registry alone.
    pub fn of_registry(&self, registry: &str) -> Upstream {
        Upstream { registry: self.registry_label(registry) }
    }

    /// Counts a claim of this node.
    pub(crate) fn claimed(&self, verdict: Option<&Verdict>, took: Duration) {
        let verdict = match verdict {
            Some(Verdict::Lead) => Outcome::lead,
            Some(Verdict::Follow(_)) => Outcome::follow,
            Some(Verdict::NotYet) => Outcome::not_yet,
            None => Outcome::unanswered,
        };
        self.claims.get_or_create(&Claimed { verdict }).inc();
        self.claim_times.observe(took.as_secs_f64());
    }

    /// Counts a handshake that failed; whether it is the first of its kind.
    pub(crate) fn handshake_failed(&self, end: End, why: Failure) -> bool {
        self.handshakes_failed.get_or_create(&Handshake { end, why }).inc() == 0
    }

    /// Shows what this node's coordinator has done so far.
    pub(crate) fn coordinated(&self, so_far: Counters) {
        let shown = [
            (&self.leads, so_far.leads),
            (&self.promotions, so_far.promotions),
            (&self.second_leads, so_far.second_leads),
        ];
        for (counter, count) in shown {
            counter.inner().store(count, Ordering::Relaxed);
        }
    }

    /// Counts a finished search.
    pub fn looked_up(&self, took: Duration, cut: bool) {
        self.lookups.observe(took.as_secs_f64());
        if cut {
            self.lookups_cut.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_registry_names_makes_no_flood_of_labels() {
        let metrics = Metrics::register(&mut Registry::default());
        let labels: BTreeSet<_> =
            (0..1000).map(|i| metrics.registry_label(&format!("r{i}.example"))).collect();
        assert_eq!(labels.len(), REGISTRIES_NAMED + 1);
        assert_eq!(metrics.registry_label("r0.example"), "r0.example");
    }
}
