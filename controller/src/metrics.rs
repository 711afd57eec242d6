//! What a controller counts, for dashboards and alerts.
//!
//! Label sets are closed, but for the names of image caches, of which the first [`CACHES_NAMED`] get
//! series of their own. Those of caches belong to the leader; a replica that does not lead has none.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tokio::sync::watch;

mod caches;

pub use caches::{CACHES_NAMED, CacheMetrics};

/// Bounds for plans. One of 5,000 nodes and 20 images is to take 100 ms at most.
const PLAN_SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// What is written to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "these are the label values as they are exported")]
pub enum Written {
    /// What a node is told: the spec of its NodeImageCache.
    node_spec,
    /// The NodeImageCache of a node that is gone, deleted.
    node_deleted,
    /// The status of an ImageCache.
    cache_status,
    /// The finalizers of an ImageCache.
    cache_finalizers,
    /// An event on an ImageCache.
    event,
}

/// The label of counters of writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Write {
    /// What was written.
    pub object: Written,
}

/// Objects that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "these are the label values as they are exported")]
pub enum Kind {
    /// ImageCaches.
    imagecaches,
    /// Nodes.
    nodes,
    /// NodeImageCaches.
    nodeimagecaches,
}

/// The label of counters of watches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Watched {
    /// What is watched.
    pub resource: Kind,
}

/// What a replica is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Another one leads, or nobody yet. Next: `Listing`.
    #[default]
    Waiting,
    /// It leads, and does not know all objects yet. Next: `Leading`.
    Listing,
    /// It leads. Next: `Waiting`.
    Leading,
}

/// All counters of a controller. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// By image cache.
    pub caches: CacheMetrics,
    /// Seeds that were replaced.
    pub seed_moves: Counter,
    /// Cycles, by how long they took, the writes included.
    pub cycles: Histogram,
    /// Cycles in which a write failed.
    pub cycle_errors: Counter,
    /// Plans, by the CPU time of their thread.
    pub plans_cpu: Histogram,
    /// Plans, by how long they took, with what others took of the machine meanwhile.
    pub plans: Histogram,
    /// Writes that the API server took.
    pub writes: Family<Write, Counter>,
    /// Writes that it refused or did not answer.
    pub write_errors: Family<Write, Counter>,
    /// Times that all objects of a kind were listed.
    pub lists: Family<Watched, Counter>,
    /// Watches and lists that broke off.
    pub watch_errors: Family<Watched, Counter>,
    leads: Gauge,
    standing: Arc<watch::Sender<Standing>>,
}

// === impl Metrics ===

impl Metrics {
    /// Makes the counters and lists them in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("onepull");
        let metrics = Self {
            caches: CacheMetrics::register(registry),
            seed_moves: Counter::default(),
            // From 1 ms to 65 s: a first cycle on 5,000 nodes writes for half a minute.
            cycles: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            cycle_errors: Counter::default(),
            plans_cpu: Histogram::new(PLAN_SECONDS),
            plans: Histogram::new(PLAN_SECONDS),
            writes: Family::default(),
            write_errors: Family::default(),
            lists: Family::default(),
            watch_errors: Family::default(),
            leads: Gauge::default(),
            standing: Arc::new(watch::Sender::default()),
        };
        metrics.list(registry);
        metrics
    }

    fn list(&self, registry: &mut Registry) {
        let help = "Seeds that were replaced because they failed, stalled or went away";
        registry.register("seed_moves", help, self.seed_moves.clone());
        let registry = registry.sub_registry_with_prefix("controller");
        let (seconds, help) = (Unit::Seconds, "Time of one look at all objects, with its writes");
        registry.register_with_unit("reconcile", help, seconds.clone(), self.cycles.clone());
        let help = "Looks at all objects in which a write failed, so that they were repeated";
        registry.register("reconcile_errors", help, self.cycle_errors.clone());
        let help = "CPU time to make a plan of all objects";
        registry.register_with_unit("plan_cpu", help, seconds.clone(), self.plans_cpu.clone());
        let help = "Time to make a plan of all objects";
        registry.register_with_unit("plan", help, seconds, self.plans.clone());
        let help = "Writes that the API server took";
        registry.register("writes", help, self.writes.clone());
        let help = "Writes that the API server refused, or did not answer in time";
        registry.register("write_errors", help, self.write_errors.clone());
        let help = "Times that all objects of a kind were listed: once when it begins to lead, else a relist";
        registry.register("lists", help, self.lists.clone());
        let help = "Lists and watches that broke off and were begun again";
        registry.register("watch_errors", help, self.watch_errors.clone());
        registry.register("leads", "Whether this replica leads", self.leads.clone());
    }

    /// Takes note of what this replica is doing. Who leads no longer shows no caches.
    pub fn stands(&self, standing: Standing) {
        self.leads.set(i64::from(standing != Standing::Waiting));
        self.standing.send_replace(standing);
        if standing == Standing::Waiting {
            self.caches.clear();
        }
    }

    /// Why this replica is not ready, if it is not. One that waits is: it is what it is there for.
    pub fn readiness(&self) -> Result<(), String> {
        match *self.standing.borrow() {
            Standing::Waiting | Standing::Leading => Ok(()),
            Standing::Listing => {
                Err("leads since a moment ago, and still lists all objects".into())
            }
        }
    }

    /// Counts a write.
    pub fn wrote(&self, object: Written, well: bool) {
        let counter = if well { &self.writes } else { &self.write_errors };
        counter.get_or_create(&Write { object }).inc();
    }

    /// Counts a plan, by the CPU time and the time that it took.
    pub fn planned(&self, cpu: Duration, took: Duration) {
        self.plans_cpu.observe(cpu.as_secs_f64());
        self.plans.observe(took.as_secs_f64());
    }

    /// Counts a cycle, and how many of its writes failed.
    pub fn cycled(&self, took: Duration, failed: usize) {
        self.cycles.observe(took.as_secs_f64());
        self.cycle_errors.inc_by(u64::from(failed > 0));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn who_leads_says_so_and_is_ready_once_it_knows_all_objects() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        assert!(metrics.readiness().is_ok(), "it is there to take over");
        metrics.stands(Standing::Listing);
        assert!(metrics.readiness().unwrap_err().contains("lists all objects"));
        metrics.stands(Standing::Leading);
        assert!(metrics.readiness().is_ok());
        assert!(shown(&registry).contains("onepull_controller_leads 1\n"));
        metrics.stands(Standing::Waiting);
        assert!(shown(&registry).contains("onepull_controller_leads 0\n"));
    }

    #[test]
    fn writes_are_counted_by_what_became_of_them() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.wrote(Written::node_spec, true);
        metrics.wrote(Written::cache_status, false);
        metrics.cycled(Duration::from_millis(3), 1);
        metrics.planned(Duration::from_millis(15), Duration::from_millis(40));
        let text = shown(&registry);
        for line in [
            "onepull_controller_writes_total{object=\"node_spec\"} 1\n",
            "onepull_controller_write_errors_total{object=\"cache_status\"} 1\n",
            "onepull_controller_reconcile_errors_total 1\n",
            "onepull_controller_reconcile_seconds_bucket{le=\"0.004\"} 1\n",
            "onepull_controller_plan_cpu_seconds_bucket{le=\"0.02\"} 1\n",
            "onepull_controller_plan_seconds_bucket{le=\"0.02\"} 0\n",
            "onepull_controller_plan_seconds_bucket{le=\"0.05\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
