//! What late nodes took and needed, and whether that is within the limits.

use serde::{Deserialize, Serialize};

use super::Late;
use crate::{faults::Verdict, fleet::FleetError};

/// What a late node may take from the registry's interface: HEADs of the tag, and handshakes.
const REGISTRY_BYTES: u64 = 64 << 10;
/// It may take this many times as long as a node with a registry of its own.
const SLOWER: f64 = 1.2;

/// What one storm with late nodes showed. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateRun {
    /// When they came.
    pub late: Late,
    /// The largest share of the image on an early node when the late ones began to pull; their
    /// agents had to start first.
    pub early_share: f64,
    /// The nodes that came.
    pub joiners: Vec<Joiner>,
    /// The slowest of them.
    pub last_seconds: f64,
    /// The same as a multiple of the last node of the arm `ideal` in this run, if it ran.
    pub ideal_ratio: Option<f64>,
    /// Whether the limits held.
    pub verdict: Verdict,
}

/// One node that came late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joiner {
    /// The node.
    pub node: String,
    /// What the registry's interface sent to it from the moment when its agent was ready.
    pub registry_bytes: u64,
    /// How long its pull took.
    pub seconds: f64,
    /// Why it failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Compares with the limits.
pub(super) fn judge(joiners: &[Joiner], ideal_ratio: Option<f64>) -> Verdict {
    let mut verdict = Verdict::default();
    for Joiner { node, registry_bytes, error, .. } in joiners {
        if let Some(error) = error {
            verdict.lost.push(format!("{node}: {error}"));
        }
        if *registry_bytes >= REGISTRY_BYTES {
            let (took, limit) = (registry_bytes >> 10, REGISTRY_BYTES >> 10);
            verdict
                .missed
                .push(format!("{node} took {took} KiB of the registry, limit {limit} KiB"));
        }
    }
    if let Some(ratio) = ideal_ratio.filter(|ratio| *ratio > SLOWER) {
        verdict.missed.push(format!("last node {ratio:.2}x of ideal, limit {SLOWER}x"));
    }
    verdict
}

// === impl LateRun ===

impl LateRun {
    /// The entry of a storm that did not come about.
    pub fn unmeasured(late: Late, error: &FleetError) -> Self {
        let lost = vec![format!("not measured: {}", error.chain())];
        Self {
            late,
            early_share: 0.0,
            joiners: Vec::new(),
            last_seconds: 0.0,
            ideal_ratio: None,
            verdict: Verdict { lost, missed: Vec::new() },
        }
    }

    /// What the late node that took most took from the registry.
    pub fn most_registry_bytes(&self) -> u64 {
        self.joiners.iter().map(|joiner| joiner.registry_bytes).max().unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Two nodes that came when the others were done.
    pub(crate) fn late_run() -> LateRun {
        let joiners = [(3, 9_000, 1.5), (4, 90_000, 2.0)];
        let joiners = joiners.map(|(number, registry_bytes, seconds)| Joiner {
            node: format!("node-{number}"),
            registry_bytes,
            seconds,
            error: None,
        });
        let verdict = judge(&joiners, Some(1.25));
        LateRun {
            late: Late::Fleet,
            early_share: 1.0,
            joiners: joiners.to_vec(),
            last_seconds: 2.0,
            ideal_ratio: Some(1.25),
            verdict,
        }
    }

    #[test]
    fn bytes_and_time_are_limits_and_a_failed_pull_is_a_loss() {
        let missed = [
            "node-4 took 87 KiB of the registry, limit 64 KiB",
            "last node 1.25x of ideal, limit 1.2x",
        ];
        assert_eq!(late_run().verdict.missed, missed);
        let failed = Joiner { error: Some("EOF".into()), ..late_run().joiners[0].clone() };
        assert_eq!(judge(&[failed], None).lost, ["node-3: EOF"]);
    }
}
