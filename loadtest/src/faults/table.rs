//! Faults as a text table: one row each, then what was lost and what cost too much.

use super::{FaultRun, verdict::egress_limit};
use crate::report::grid;

pub(crate) const HEADINGS: [&str; 10] = [
    "fault",
    "victim",
    "unhurt failed",
    "hurt tries",
    "unfinished",
    "egress",
    "limit",
    "last s",
    "x calm",
    "verdict",
];

/// The table; empty without faults.
pub fn render(runs: &[FaultRun]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let rows = runs.iter().map(|run| cells(run).to_vec());
    let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned).to_vec()).chain(rows).collect();
    let mut text = format!("\nFaults, each in a storm of its own:\n\n{}", grid(&rows));
    text.push_str(
        "\nunhurt failed: failed attempts of nodes that were not struck. hurt tries: attempts of the \
         node that was.\nunfinished: the share of the image it lacked. last: of the others, without \
         an attempt that the fault may cost. calm: the last node of the undisturbed storm.\n",
    );
    for run in runs {
        if let Some(small) = &run.small {
            let stalled = small.stalled_seconds.iter().map(|seconds| format!("{seconds:.2} s"));
            let stalled = stalled.collect::<Vec<_>>().join(" and ");
            let alone = small.alone_seconds;
            text.push_str(&format!(
                "{}: a small image took {alone:.2} s alone, {stalled} meanwhile\n",
                run.fault
            ));
        }
        for lost in &run.verdict.lost {
            text.push_str(&format!("LOST: {}: {lost}\n", run.fault));
        }
        for missed in &run.verdict.missed {
            text.push_str(&format!("over: {}: {missed}\n", run.fault));
        }
    }
    text
}

pub(crate) fn cells(run: &FaultRun) -> [String; 10] {
    let tries = run.hurt_pull().map_or("-".into(), |pull| pull.attempts.to_string());
    [
        run.fault.to_string(),
        run.victim.clone().unwrap_or_else(|| "-".into()),
        run.failed_unhurt().to_string(),
        tries,
        format!("{:.2}", run.unfinished_share),
        format!("{:.2}x", run.egress_images),
        format!("{:.2}x", egress_limit(run.fault, run.unfinished_share)),
        format!("{:.1}", run.last_unhurt_seconds),
        run.last_ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
        run.verdict.word().to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Fault, Verdict, bystander::Small, testing::fault_run};

    #[test]
    fn each_fault_is_a_row_and_each_excess_a_line() {
        let mut lost = fault_run(Fault::StallParent);
        lost.pulls[1].fail_once();
        lost.verdict = Verdict::of(&lost);
        let mut frozen = fault_run(Fault::FrozenLead);
        let error = None;
        frozen.small = Some(Small { alone_seconds: 0.1, stalled_seconds: vec![0.2, 5.0], error });
        frozen.verdict = Verdict::of(&frozen);
        let mut partition = fault_run(Fault::PartitionDht);
        (partition.victim, partition.last_ratio) = (None, None);
        partition.pulls.remove(0);
        insta::assert_snapshot!(render(&[fault_run(Fault::KillLead), lost, frozen, partition]));
        assert_eq!(render(&[]), "");
    }
}
