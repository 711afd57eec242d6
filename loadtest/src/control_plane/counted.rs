//! What controller and API server count of themselves.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hyper::Request;

use super::{PLAN_MS, Phase, PlanTimes, cluster::Cluster, process::Controller};
use crate::scrape::{self, metric};

/// A number for each node.
pub(super) type Lists = BTreeMap<String, u64>;

const PLANS: &str = "onepull_controller_plan_seconds";
const PLANS_CPU: &str = "onepull_controller_plan_cpu_seconds";
const CYCLES: &str = "onepull_controller_reconcile_seconds";
const SPECS: &str = "onepull_controller_writes_total{object=\"node_spec\"}";

/// The counters at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    metrics: String,
    lists_at_api_server: f64,
    cpu_seconds: f64,
}

// === impl Counted ===

impl Counted {
    pub(super) async fn of(controller: &Controller, cluster: &Cluster) -> Result<Self> {
        let (_, metrics) = scrape::get(controller.admin, "/metrics").await?;
        let request = Request::get("/metrics").body(Vec::new())?;
        let server = cluster.client.request_text(request).await.context("no metrics")?;
        let cpu_seconds = controller.cpu_seconds()?;
        Ok(Self { metrics, lists_at_api_server: lists(&server), cpu_seconds })
    }

    /// How many plans were made so far.
    pub(super) fn plans(&self) -> u64 {
        whole(self.sum(&format!("{PLANS}_count")))
    }

    /// What happened since then.
    pub(super) fn since(&self, before: &Self) -> Phase {
        let more = |name: &str| self.sum(name) - before.sum(name);
        let mean = |name: &str| ratio(more(&format!("{name}_sum")), more(&format!("{name}_count")));
        Phase {
            plans: self.plans() - before.plans(),
            plan_cpu: self.plan_times(before, PLANS_CPU),
            plan_wall: self.plan_times(before, PLANS),
            reconcile_mean_seconds: mean(CYCLES),
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            spec_writes: whole(self.series(SPECS) - before.series(SPECS)),
            seed_moves: whole(more("onepull_controller_seed_moves_total")),
            write_errors: whole(more("onepull_controller_write_errors_total")),
            lists: whole(more("onepull_controller_lists_total")),
            lists_at_api_server: whole(self.lists_at_api_server - before.lists_at_api_server),
        }
    }

    /// How long plans took since then, by one of the two histograms.
    fn plan_times(&self, before: &Self, plans: &str) -> PlanTimes {
        let more = |name: &str| self.sum(name) - before.sum(name);
        let (all, sum) = (more(&format!("{plans}_count")), more(&format!("{plans}_sum")));
        let within = |bound: &f64| self.bucket(plans, *bound) - before.bucket(plans, *bound);
        let holds_all = |bound: &f64| whole(within(bound)) == whole(all);
        let most = self.bounds(plans).filter(holds_all).reduce(f64::min);
        PlanTimes {
            mean_ms: ratio(sum, all) * 1e3,
            most_ms: most.map(|seconds| seconds * 1e3),
            within_limit: ratio(within(&(PLAN_MS / 1e3)), all),
        }
    }

    /// The bounds of a histogram's buckets, and how much is in each.
    fn buckets<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.metrics.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?;
            let (bound, count) = rest.split_once("\"} ")?;
            Some((bound.parse().ok()?, count.parse().ok()?))
        })
    }

    fn bounds<'a>(&'a self, name: &'a str) -> impl Iterator<Item = f64> + 'a {
        self.buckets(name).map(|(bound, _)| bound).filter(|bound| bound.is_finite())
    }

    fn bucket(&self, name: &str, bound: f64) -> f64 {
        let of_bound = |(found, _): &(f64, f64)| (found - bound).abs() < f64::EPSILON;
        self.buckets(name).find(of_bound).map_or(0.0, |(_, count)| count)
    }

    fn sum(&self, name: &str) -> f64 {
        metric(&self.metrics, name).unwrap_or(0.0)
    }

    fn series(&self, series: &str) -> f64 {
        let value =
            self.metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }
}

/// Lists of what is large, by anybody.
fn lists(text: &str) -> f64 {
    let large = ["resource=\"nodes\"", "resource=\"nodeimagecaches\""];
    let is_list = |line: &&str| {
        line.starts_with("apiserver_request_total{")
            && line.contains("verb=\"LIST\"")
            && large.iter().any(|resource| line.contains(resource))
    };
    let counts =
        text.lines().filter(is_list).filter_map(|line| line.rsplit_once(' ')?.1.parse().ok());
    counts.fold(0.0, |sum, count: f64| sum + count)
}

/// Of nothing, nothing.
fn ratio(part: f64, count: f64) -> f64 {
    if count > 0.0 { part / count } else { 0.0 }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole(count: f64) -> u64 {
    count.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(plans: [u64; 3], sum: f64) -> Counted {
        let [fast, slow, all] = plans;
        let histogram = |name: &str, sum: f64| {
            format!(
                "{name}_sum {sum}\n{name}_count {all}\n{name}_bucket{{le=\"0.05\"}} {fast}\n\
                 {name}_bucket{{le=\"0.1\"}} {slow}\n{name}_bucket{{le=\"+Inf\"}} {all}\n",
            )
        };
        let (cpu, wall) = (histogram(PLANS_CPU, sum), histogram(PLANS, 2.0 * sum));
        let metrics = format!("{cpu}{wall}{SPECS} {all}\n");
        Counted { metrics, lists_at_api_server: 0.0, cpu_seconds: 0.0 }
    }

    #[test]
    fn what_happened_since_then_is_the_difference() {
        let (before, after) = (counted([2, 2, 3], 2.0), counted([3, 4, 5], 2.1));
        let phase = after.since(&before);
        assert_eq!((phase.plans, phase.spec_writes), (2, 2));
        let PlanTimes { mean_ms, most_ms, within_limit } = phase.plan_cpu;
        assert_eq!((most_ms, within_limit), (Some(100.0), 1.0));
        assert!((mean_ms - 50.0).abs() < 0.1, "{phase:?}");
        assert!((phase.plan_wall.mean_ms - 100.0).abs() < 0.1, "{phase:?}");
        let slow = counted([3, 4, 7], 9.0).since(&before).plan_wall;
        assert_eq!((slow.most_ms, slow.within_limit), (None, 0.5), "beyond the last bound");
        assert_eq!(before.since(&before).plan_cpu.within_limit, 0.0, "there were none");
    }

    #[test]
    fn only_lists_of_large_objects_are_counted() {
        let text = "apiserver_request_total{code=\"200\",resource=\"nodes\",verb=\"LIST\"} 2\n\
            apiserver_request_total{resource=\"nodes\",verb=\"WATCH\"} 5\n\
            apiserver_request_total{resource=\"secrets\",verb=\"LIST\"} 7\n\
            apiserver_request_total{resource=\"nodeimagecaches\",verb=\"LIST\"} 1\n";
        assert_eq!(whole(lists(text)), 3);
    }
}
