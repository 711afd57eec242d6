//! What a fault may cost, and whether it did.

use serde::{Deserialize, Serialize};

use super::{Fault, FaultRun};

/// The multiple of the image that the registry may send when only an agent dies.
const AGENT_EGRESS: f64 = 1.05;
/// The same for every other fault.
const EGRESS: f64 = 1.25;
/// The last unhurt node may take this many times as long as that of the undisturbed storm.
const SLOWER: f64 = 1.5;
/// An unrelated small image may take this much longer than alone.
const SMALL_SECONDS: f64 = 4.0;

/// Whether a fault stayed within its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was lost: each entry is a failed load test.
    pub lost: Vec<String>,
    /// What cost more than it should: reported only.
    pub missed: Vec<String>,
}

// === impl Verdict ===

impl Verdict {
    /// Judges what was measured.
    pub fn of(run: &FaultRun) -> Self {
        let mut verdict = Self::default();
        verdict.judge_pulls(run);
        verdict.judge_costs(run);
        verdict
    }

    /// Whether all limits held.
    pub fn is_ok(&self) -> bool {
        self.lost.is_empty() && self.missed.is_empty()
    }

    /// One word for a table.
    pub fn word(&self) -> &'static str {
        match (self.lost.is_empty(), self.missed.is_empty()) {
            (false, _) => "LOST",
            (true, false) => "over",
            (true, true) => "ok",
        }
    }

    fn judge_pulls(&mut self, run: &FaultRun) {
        let forgiven = forgiven(run.fault);
        for pull in &run.pulls {
            let failed = pull.errors.len();
            let allowed = if pull.hurt { hurt_forgiven(run.fault) } else { forgiven };
            if !pull.succeeded {
                let why = pull.errors.last().map_or("unknown", |error| error);
                self.lost.push(format!("{} never got the image: {why}", pull.node));
            } else if failed > allowed {
                let why = &pull.errors[0];
                self.lost.push(format!("{} needed {} attempts: {why}", pull.node, pull.attempts));
            }
        }
    }

    fn judge_costs(&mut self, run: &FaultRun) {
        let limit = egress_limit(run.fault, run.unfinished_share);
        if run.egress_images > limit {
            let egress = run.egress_images;
            self.missed.push(format!("egress {egress:.2}x, limit {limit:.2}x"));
        }
        if let Some(ratio) = run.last_ratio.filter(|ratio| *ratio > SLOWER) {
            self.missed.push(format!("last node {ratio:.2}x of calm, limit {SLOWER}x"));
        }
        if let Some(small) = &run.small
            && small.added_seconds() > SMALL_SECONDS
        {
            let added = small.added_seconds();
            self.missed.push(format!("small image +{added:.1} s, limit +{SMALL_SECONDS} s"));
        }
        if let Some(error) = run.small.as_ref().and_then(|small| small.error.as_ref()) {
            self.lost.push(format!("the small image: {error}"));
        }
    }
}

/// What the registry may send, in images, when `unfinished` of the victim's image was missing.
pub fn egress_limit(fault: Fault, unfinished: f64) -> f64 {
    let fixed = if fault.kills_an_agent() { AGENT_EGRESS } else { EGRESS };
    fixed + unfinished
}

/// Failed attempts that are no loss on a node that was not struck: only bytes tell that they are
/// wrong, and by then containerd has them.
fn forgiven(fault: Fault) -> usize {
    match fault {
        Fault::CorruptByte => 1,
        _ => 0,
    }
}

/// The same on the victim: who loses only its agent goes on without; all others may try again.
fn hurt_forgiven(fault: Fault) -> usize {
    if fault.kills_an_agent() { 0 } else { usize::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{bystander::Small, testing::fault_run};

    fn verdict(change: impl FnOnce(&mut FaultRun)) -> Verdict {
        let mut run = fault_run(Fault::KillLead);
        change(&mut run);
        Verdict::of(&run)
    }

    #[test]
    fn a_killed_agent_may_cost_what_its_node_still_lacked() {
        assert_eq!(verdict(|run| run.egress_images = 1.5), Verdict::default());
        let over = verdict(|run| run.egress_images = 1.6);
        assert_eq!(over.missed, ["egress 1.60x, limit 1.55x"]);
        assert_eq!(over.word(), "over");
    }

    #[test]
    fn other_faults_may_cost_more() {
        assert_eq!(egress_limit(Fault::PartitionDht, 0.0), 1.25);
        assert_eq!(egress_limit(Fault::PowerOff, 0.5), 1.75);
    }

    #[test]
    fn one_failed_attempt_of_an_unhurt_node_is_a_loss() {
        let lost = verdict(|run| run.pulls[1].fail_once());
        assert_eq!(lost.lost, ["node-2 needed 2 attempts: EOF"]);
        assert_eq!(lost.word(), "LOST");
    }

    #[test]
    fn a_corrupt_byte_may_cost_one_attempt_and_no_more() {
        let corrupt = |run: &mut FaultRun| run.fault = Fault::CorruptByte;
        let once = verdict(|run| {
            corrupt(run);
            run.pulls[1].fail_once();
        });
        assert_eq!(once.lost, [""; 0]);
        let twice = verdict(|run| {
            corrupt(run);
            run.pulls[1].fail_once();
            run.pulls[1].fail_once();
        });
        assert_eq!(twice.lost, ["node-2 needed 3 attempts: EOF"]);
    }

    #[test]
    fn the_victim_may_try_again_unless_only_its_agent_died() {
        let lost = verdict(|run| run.pulls[0].fail_once());
        assert_eq!(lost.lost, ["node-1 needed 2 attempts: EOF"]);
        let fine = verdict(|run| {
            run.fault = Fault::PowerOff;
            run.pulls[0].fail_once();
        });
        assert_eq!(fine, Verdict::default());
        let never = verdict(|run| {
            run.fault = Fault::PowerOff;
            run.pulls[0].fail_once();
            run.pulls[0].succeeded = false;
        });
        assert_eq!(never.lost, ["node-1 never got the image: EOF"]);
    }

    #[test]
    fn slowness_is_reported_and_is_no_loss() {
        let slow = verdict(|run| {
            run.last_ratio = Some(1.6);
            let error = None;
            run.small = Some(Small { alone_seconds: 1.0, stalled_seconds: vec![2.0, 5.5], error });
        });
        let missed = ["last node 1.60x of calm, limit 1.5x", "small image +4.5 s, limit +4 s"];
        assert_eq!((slow.lost, slow.missed), (vec![], missed.map(str::to_owned).to_vec()));
    }
}
