//! What a simulation says.

use serde::{Deserialize, Serialize};

use super::{SimConfig, SimPattern, world::Finished};

/// What happened on virtual time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// When the first node was done.
    pub first_seconds: f64,
    /// When the node in the middle was.
    pub median_seconds: f64,
    /// When the last was; one that was killed does not count.
    pub last_seconds: f64,
    /// The last node's time by the bound.
    pub last_by_bound: f64,
    /// What the registry sent, as a multiple of the image.
    pub egress_images: f64,
    /// What nodes sent to nodes of other zones.
    pub crossed_images: f64,
    /// What came into each zone from outside: from other zones and from the registry.
    pub entered_images: Vec<f64>,
    /// Claims, by nodes and layers.
    pub claims_per_layer: f64,
    /// Members that a coordinator looked at, by claims.
    pub looked_at_per_claim: f64,
    /// Messages of progress, by nodes and seconds until the last was done.
    pub reports_per_second: f64,
    /// Leads that were named.
    pub leads: u64,
    /// Those among them that had been following.
    pub promotions: u64,
    /// Nodes that led beside a living lead.
    pub second_leads: u64,
    /// Nodes on the longest way from a lead, counted when each got its parent.
    pub deepest: u32,
    /// The node that was killed.
    pub killed: Option<u32>,
    /// Events that the simulation went through.
    pub events: u64,
    /// When each node was done, the first one first.
    pub done_seconds: Vec<f64>,
}

// === impl Outcome ===

impl Outcome {
    #[allow(clippy::cast_precision_loss, reason = "ratios for people")]
    pub(super) fn of(finished: &Finished, config: &SimConfig) -> Self {
        let seeds = usize::from(config.pattern == SimPattern::Staged);
        let overhead = config.overhead.as_secs_f64();
        let pulled = finished.nodes.iter().skip(seeds).flatten();
        let mut done: Vec<_> = pulled.map(|nanos| *nanos as f64 / 1e9 + overhead).collect();
        done.sort_by(f64::total_cmp);
        let at = |place: usize| done.get(place).copied().unwrap_or_default();
        let (tally, counters) = (&finished.tally, &finished.counters);
        let images = |bytes: u64| bytes as f64 / config.image_size.bytes() as f64;
        let last_seconds = at(done.len().saturating_sub(1));
        let nodes = f64::from(config.pullers());
        Self {
            first_seconds: at(0),
            median_seconds: at(done.len() / 2),
            last_seconds,
            last_by_bound: last_seconds / config.bound_seconds(config.pullers()),
            egress_images: images(tally.egress),
            crossed_images: images(tally.crossed),
            entered_images: tally.entered.iter().map(|bytes| images(*bytes)).collect(),
            claims_per_layer: tally.claims as f64 / nodes / f64::from(config.layers),
            looked_at_per_claim: counters.looked_at as f64 / tally.claims.max(1) as f64,
            reports_per_second: tally.reports as f64 / nodes / (last_seconds - overhead),
            leads: counters.leads,
            promotions: counters.promotions,
            second_leads: counters.second_leads,
            deepest: tally.deepest,
            killed: tally.killed.and_then(|node| u32::try_from(node).ok()),
            events: finished.events,
            done_seconds: done,
        }
    }
}
