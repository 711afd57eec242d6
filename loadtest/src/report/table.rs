//! The report as a text table.

use super::{Report, Summary, grid};
use crate::{faults, late};

const HEADINGS: [&str; 10] = [
    "arm", "egress", "x image", "seed s", "first s", "median s", "last s", "total s", "bound s",
    "eta",
];

/// The table and what one needs to read it.
pub fn render(report: &Report) -> String {
    let setup = &report.setup;
    let image = megabytes(setup.image_bytes.bytes());
    let mut text = format!(
        "{} nodes ({}), pattern {}, image {image} in {} layers, node link {}, registry {}\n\n",
        setup.nodes, setup.store, setup.pattern, setup.layers, setup.nic, setup.registry,
    );
    let rows = report.summary.iter().map(|row| cells(row, report.model.link_seconds).to_vec());
    let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned).to_vec()).chain(rows).collect();
    text.push_str(&grid(&rows));
    text.push_str(
        "\nseed: the node that pulls first, where one does; first, median, last: of the others, from \
         their common start.\nbound: image / node link. eta: bound / last.\n",
    );
    if let Some(version) = &report.setup.spegel {
        text.push_str(&format!("spegel: {version}\n"));
    }
    for run in &report.runs {
        for moved in &run.moves {
            text.push_str(&format!("MOVED: {} #{}: {moved}\n", run.arm, run.repeat));
        }
    }
    for (run, node) in report.failures() {
        let error = node.error.as_deref().unwrap_or_default();
        text.push_str(&format!("FAILED: {} #{} {}: {error}\n", run.arm, run.repeat, node.name));
    }
    text.push_str(&faults::table::render(&report.faults));
    text.push_str(&late::table::render(&report.late));
    text
}

fn cells(row: &Summary, bound: f64) -> [String; 10] {
    let seconds = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
    [
        row.arm.to_string(),
        megabytes(row.egress_bytes),
        format!("{:.2}x", row.egress_images),
        seconds(row.seed_seconds),
        seconds(row.first_seconds),
        seconds(row.median_seconds),
        seconds(row.last_seconds),
        seconds(Some(row.total_seconds)),
        seconds(Some(bound)),
        format!("{:.2}", row.eta),
    ]
}

/// Bytes in MiB with one decimal.
#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn the_table_shows_each_arm_and_each_failure() {
        insta::assert_snapshot!(render(&report()));
    }
}
