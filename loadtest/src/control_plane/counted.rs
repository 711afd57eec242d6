//! What controller and API server count of themselves.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hyper::Request;

use super::{Phase, cluster::Cluster, process::Controller};
use crate::scrape::{self, metric};

/// A number for each node.
pub(super) type Lists = BTreeMap<String, u64>;

const PLANS: &str = "onepull_controller_plan_cpu_seconds";
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
        let mean = |name: &str| {
            let count = more(&format!("{name}_count"));
            if count > 0.0 { more(&format!("{name}_sum")) / count } else { 0.0 }
        };
        Phase {
            plans: self.plans() - before.plans(),
            plan_mean_ms: mean(PLANS) * 1e3,
            plan_most_ms: self.most(before).map(|seconds| seconds * 1e3),
            reconcile_mean_seconds: mean(CYCLES),
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            spec_writes: whole(self.series(SPECS) - before.series(SPECS)),
            write_errors: whole(more("onepull_controller_write_errors_total")),
            lists: whole(more("onepull_controller_lists_total")),
            lists_at_api_server: whole(self.lists_at_api_server - before.lists_at_api_server),
        }
    }

    /// The bound of the bucket that the longest plan since then is in.
    fn most(&self, before: &Self) -> Option<f64> {
        let all = self.plans() - before.plans();
        let buckets = self.metrics.lines().filter_map(|line| {
            let bound =
                line.strip_prefix(PLANS)?.strip_prefix("_bucket{le=\"")?.split('"').next()?;
            bound.parse::<f64>().ok().filter(|bound| bound.is_finite())
        });
        let holds_all = |bound: &f64| {
            let series = |of: &Self| of.bucket(*bound);
            whole(series(self) - series(before)) == all
        };
        buckets.filter(holds_all).reduce(f64::min)
    }

    fn bucket(&self, bound: f64) -> f64 {
        let of_bound = |line: &&str| {
            let rest = line.strip_prefix(PLANS).and_then(|rest| rest.strip_prefix("_bucket{le=\""));
            let text = rest.and_then(|rest| rest.split('"').next());
            text.and_then(|text| text.parse::<f64>().ok()).is_some_and(|found| found == bound)
        };
        let line = self.metrics.lines().find(of_bound);
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0.0)
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

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole(count: f64) -> u64 {
    count.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(plans: [u64; 3], sum: f64) -> Counted {
        let [fast, slow, all] = plans;
        let metrics = format!(
            "{PLANS}_sum {sum}\n{PLANS}_count {all}\n{PLANS}_bucket{{le=\"0.05\"}} {fast}\n\
             {PLANS}_bucket{{le=\"0.1\"}} {slow}\n{PLANS}_bucket{{le=\"+Inf\"}} {all}\n{SPECS} {all}\n",
        );
        Counted { metrics, lists_at_api_server: 0.0, cpu_seconds: 0.0 }
    }

    #[test]
    fn what_happened_since_then_is_the_difference() {
        let (before, after) = (counted([2, 2, 3], 2.0), counted([3, 4, 5], 2.1));
        let phase = after.since(&before);
        assert_eq!((phase.plans, phase.spec_writes, phase.plan_most_ms), (2, 2, Some(100.0)));
        assert!((phase.plan_mean_ms - 50.0).abs() < 0.1, "{phase:?}");
        let slow = counted([3, 4, 6], 9.0).since(&before);
        assert_eq!(slow.plan_most_ms, None, "longer than the last bound");
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
