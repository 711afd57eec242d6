//! Gauges of image caches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::planner::{CacheId, Rollup};

/// Caches with series of their own: ten each, so a tenth of what a Prometheus server of a cluster takes
/// from one target with ease. All others are added up as `_others`, which no namespace can be called.
pub const CACHES_NAMED: usize = 1_000;

const OTHERS: &str = "_others";

/// What is shown of a cache: name, help, unit, value.
type Column = (&'static str, &'static str, Option<Unit>, fn(&Rollup) -> u64);

const COLUMNS: [Column; 10] = [
    ("nodes_desired", "Nodes that are to hold the cache's images and are ready", None, |rollup| {
        count(rollup.nodes.available())
    }),
    ("nodes_warm", "Of these, nodes that hold them", None, |rollup| count(rollup.nodes.warm)),
    ("nodes_pulling", "Of these, nodes that an image is being brought to", None, |rollup| {
        count(rollup.nodes.warming)
    }),
    ("nodes_waiting", "Of these, nodes that wait for a seed, a turn or a window", None, |rollup| {
        count(rollup.nodes.waiting)
    }),
    ("nodes_failed", "Of these, nodes where something is wrong", None, |rollup| {
        count(rollup.nodes.failed)
    }),
    (
        "nodes_unavailable",
        "Nodes that are selected and not waited for: not ready, or virtual",
        None,
        |rollup| count(rollup.nodes.unavailable),
    ),
    (
        "upstream",
        "Bytes of the cache's images that registries sent, to all nodes together",
        Some(Unit::Bytes),
        |rollup| rollup.upstream_bytes,
    ),
    ("image", "Bytes of the cache's images: what one pull takes", Some(Unit::Bytes), |rollup| {
        rollup.image_bytes
    }),
    ("ready", "Caches with the condition Ready: 1 or 0", None, |rollup| {
        u64::from(rollup.conditions.ready.holds)
    }),
    ("degraded", "Caches with the condition Degraded: 1 or 0", None, |rollup| {
        u64::from(rollup.conditions.degraded.holds)
    }),
];

/// The labels of a cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Labels {
    namespace: String,
    name: String,
}

/// Gauges of image caches. Clones show the same.
#[derive(Clone, Debug, Default)]
pub struct CacheMetrics {
    /// In the order of [`COLUMNS`].
    columns: [Family<Labels, Gauge>; COLUMNS.len()],
    shown: Arc<Mutex<BTreeSet<Labels>>>,
}

// === impl CacheMetrics ===

impl CacheMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("imagecache");
        for ((name, help, unit, _), family) in COLUMNS.into_iter().zip(&metrics.columns) {
            match unit {
                Some(unit) => registry.register_with_unit(name, help, unit, family.clone()),
                None => registry.register(name, help, family.clone()),
            }
        }
        metrics
    }

    /// Shows these caches, and no others any more.
    pub fn show(&self, rollups: &BTreeMap<CacheId, Rollup>) {
        let mut rows: BTreeMap<Labels, [u64; COLUMNS.len()]> = BTreeMap::new();
        for (index, (id, rollup)) in rollups.iter().enumerate() {
            let row = rows.entry(Labels::of(id, index)).or_default();
            for (sum, (.., value)) in row.iter_mut().zip(COLUMNS) {
                *sum = sum.saturating_add(value(rollup));
            }
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.iter().filter(|labels| !rows.contains_key(labels)) {
            for family in &self.columns {
                family.remove(gone);
            }
        }
        for (labels, row) in &rows {
            for (family, value) in self.columns.iter().zip(row) {
                family.get_or_create(labels).set(i64::try_from(*value).unwrap_or(i64::MAX));
            }
        }
        *shown = rows.into_keys().collect();
    }

    pub(super) fn clear(&self) {
        self.show(&BTreeMap::new());
    }
}

// === impl Labels ===

impl Labels {
    /// Those of the cache that comes at `index` by name.
    fn of(id: &CacheId, index: usize) -> Self {
        let (namespace, name) = match index < CACHES_NAMED {
            true => (id.namespace.to_string(), id.name.to_string()),
            false => (OTHERS.to_owned(), OTHERS.to_owned()),
        };
        Self { namespace, name }
    }
}

/// No cluster has that many nodes.
fn count(nodes: usize) -> u64 {
    nodes as u64
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::planner::{Condition, ConditionReason, Conditions, NodeCounts};

    fn rollup(warm: usize) -> Rollup {
        let condition = |holds| Condition {
            holds,
            reason: ConditionReason::AsExpected,
            message: String::new(),
        };
        let nodes = NodeCounts { selected: 5, unavailable: 1, warm, ..NodeCounts::default() };
        let conditions = Conditions {
            ready: condition(true),
            progressing: condition(false),
            degraded: condition(false),
        };
        Rollup {
            images: Vec::new(),
            nodes,
            not_warm: Vec::new(),
            selected: Vec::new(),
            upstream_bytes: 2000,
            image_bytes: 1000,
            conditions,
            released: false,
        }
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_cache_has_its_series_until_it_is_deleted() {
        let mut registry = Registry::default();
        let metrics = CacheMetrics::register(&mut registry);
        let id = CacheId::new("team", "llm");
        metrics.show(&BTreeMap::from([(id, rollup(3))]));
        let series: Vec<String> =
            text(&registry).lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect();
        let labels = "{namespace=\"team\",name=\"llm\"}";
        let expected = [
            ("nodes_desired", 4),
            ("nodes_warm", 3),
            ("nodes_pulling", 0),
            ("nodes_waiting", 0),
            ("nodes_failed", 0),
            ("nodes_unavailable", 1),
            ("upstream_bytes", 2000),
            ("image_bytes", 1000),
            ("ready", 1),
            ("degraded", 0),
        ]
        .map(|(name, value)| format!("imagecache_{name}{labels} {value}"));
        assert_eq!(series, expected);
        metrics.show(&BTreeMap::new());
        assert!(!text(&registry).contains("llm"));
    }

    #[test]
    fn a_flood_of_caches_makes_no_flood_of_series() {
        let mut registry = Registry::default();
        let metrics = CacheMetrics::register(&mut registry);
        let id = |number| CacheId::new("team", &format!("cache-{number:05}"));
        let many = (0..CACHES_NAMED + 2).map(|number| (id(number), rollup(1))).collect();
        metrics.show(&many);
        let text = text(&registry);
        assert_eq!(text.matches("imagecache_ready{").count(), CACHES_NAMED + 1);
        let others = "imagecache_nodes_warm{namespace=\"_others\",name=\"_others\"} 2\n";
        assert!(text.contains(others));
    }
}
