//! Late nodes as a text table.

use super::LateRun;
use crate::report::grid;

pub(crate) const HEADINGS: [&str; 7] =
    ["late", "nodes", "others have", "registry KiB", "last s", "x ideal", "verdict"];

/// The table; empty without late nodes.
pub fn render(runs: &[LateRun]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let rows = runs.iter().map(|run| cells(run).to_vec());
    let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned).to_vec()).chain(rows).collect();
    let mut text = format!("\nNodes that came late:\n\n{}", grid(&rows));
    text.push_str("\nregistry: what its interface sent to the late node that took most.\n");
    for run in runs {
        for lost in &run.verdict.lost {
            text.push_str(&format!("LOST: late {}: {lost}\n", run.late));
        }
        for missed in &run.verdict.missed {
            text.push_str(&format!("over: late {}: {missed}\n", run.late));
        }
    }
    text
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn cells(run: &LateRun) -> [String; 7] {
    [
        run.late.to_string(),
        run.joiners.len().to_string(),
        format!("{:.0} %", run.early_share * 100.0),
        format!("{:.1}", run.most_registry_bytes() as f64 / 1024.0),
        format!("{:.1}", run.last_seconds),
        run.ideal_ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
        run.verdict.word().to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::late::testing::late_run;

    #[test]
    fn each_kind_of_lateness_is_a_row() {
        insta::assert_snapshot!(render(&[late_run()]));
        assert_eq!(render(&[]), "");
    }
}
