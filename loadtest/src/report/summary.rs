//! An arm in one row: medians over its repeats.

use serde::{Deserialize, Serialize};

use super::Run;
use crate::{arm::Arm, model::Model, pattern::Pattern};

/// An arm's figures; each the median over the arm's repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Which arm.
    pub arm: Arm,
    /// How often it ran.
    pub repeats: usize,
    /// What the registry sent.
    pub egress_bytes: u64,
    /// The same as a multiple of the image.
    pub egress_images: f64,
    /// The time of the node that pulled first, alone; absent where all start together.
    pub seed_seconds: Option<f64>,
    /// The time of the fastest of the others, from their common start; absent where there are none.
    pub first_seconds: Option<f64>,
    /// The median of the others.
    pub median_seconds: Option<f64>,
    /// The slowest of the others.
    pub last_seconds: Option<f64>,
    /// From the start of the first pull to the end of the last.
    pub total_seconds: f64,
    /// `(S/B) / last`: 1 is what a node's link allows.
    pub eta: f64,
    /// Pulls that failed, in all repeats together.
    pub failed: usize,
}

// === impl Summary ===

impl Summary {
    /// One row for each arm that ran, in order of first appearance.
    pub fn of(runs: &[Run], image_bytes: u64, model: &Model, pattern: Pattern) -> Vec<Self> {
        let mut arms: Vec<Arm> = Vec::new();
        for run in runs {
            if !arms.contains(&run.arm) {
                arms.push(run.arm);
            }
        }
        let rows = arms.into_iter().map(|arm| {
            let repeats: Vec<_> = runs.iter().filter(|run| run.arm == arm).collect();
            Self::of_arm(arm, &repeats, image_bytes, model, pattern.seeds())
        });
        rows.collect()
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    fn of_arm(arm: Arm, runs: &[&Run], image_bytes: u64, model: &Model, seeds: usize) -> Self {
        let median_of = |figure: &dyn Fn(&Run) -> Option<f64>| {
            median(runs.iter().filter_map(|run| figure(run)).collect())
        };
        let mut egress: Vec<_> = runs.iter().map(|run| run.egress_bytes).collect();
        egress.sort_unstable();
        let egress_bytes = egress.get(egress.len() / 2).copied().unwrap_or_default();
        let seed_seconds = median_of(&|run| Some(run.nodes[..seeds].first()?.seconds));
        let last_seconds = median_of(&|run| run.others(seeds).last().copied());
        Self {
            arm,
            repeats: runs.len(),
            egress_bytes,
            egress_images: egress_bytes as f64 / image_bytes as f64,
            seed_seconds,
            first_seconds: median_of(&|run| run.others(seeds).first().copied()),
            median_seconds: median_of(&|run| median(run.others(seeds))),
            last_seconds,
            total_seconds: median_of(&|run| Some(run.total_seconds)).unwrap_or_default(),
            eta: model.eta(last_seconds.or(seed_seconds).unwrap_or_default()),
            failed: runs.iter().flat_map(|run| &run.nodes).filter(|n| n.error.is_some()).count(),
        }
    }
}

// === impl Run ===

impl Run {
    /// The times of all nodes but the first `seeds`, sorted.
    pub fn others(&self, seeds: usize) -> Vec<f64> {
        let mut seconds: Vec<_> = self.nodes.iter().skip(seeds).map(|node| node.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }
}

/// The middle one; the mean of the two middle ones when their number is even.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
