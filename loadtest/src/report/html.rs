//! The report as one HTML page that needs no network and no script.

use std::fmt::Write;

use super::{
    Report, Run, Summary, flows,
    plot::{Line, Strip, escape, lines, strips},
    table::megabytes,
};
use crate::{arm::Arm, faults, late};

pub(crate) const STYLE: &str = include_str!("style.css");
const MIB: f64 = 1_048_576.0;

/// The whole page.
pub fn render(report: &Report) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>onepull load test</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n",
    );
    header(&mut html, report);
    summary(&mut html, report);
    faults::html::section(&mut html, &report.faults);
    late::html::section(&mut html, &report.late);
    overview(&mut html, report);
    for row in &report.summary {
        if let Some(run) = typical(report, row) {
            arm(&mut html, report, run);
        }
    }
    footer(&mut html, report);
    html + "</main></body></html>\n"
}

fn header(html: &mut String, report: &Report) {
    let setup = &report.setup;
    let _ = writeln!(
        html,
        "<header><h1>onepull load test</h1><p>{} nodes ({}), pattern <b>{}</b>, image {} in {} \
         layers, node link {}, registry {}</p></header>",
        setup.nodes,
        escape(&setup.store),
        setup.pattern,
        megabytes(setup.image_bytes.bytes()),
        setup.layers,
        setup.nic,
        setup.registry,
    );
    html.push_str("<div class=tiles>");
    for row in &report.summary {
        let last = row.last_seconds.or(row.seed_seconds).unwrap_or_default();
        let _ = write!(
            html,
            "<div class=\"tile {}\"><h2>{}</h2><p class=big>{:.2}x</p><p>of the image left the \
             registry</p><p class=big>{last:.1} s</p><p>until the last node had it</p></div>",
            row.arm, row.arm, row.egress_images,
        );
    }
    html.push_str("</div>\n");
}

fn summary(html: &mut String, report: &Report) {
    html.push_str(
        "<section><h2>Summary</h2><table class=figures><thead><tr><th>arm<th>repeats<th>egress\
         <th>x image<th>seed<th>first<th>median<th>last<th>total<th>bound<th>eta<th>failed\
         </tr></thead><tbody>",
    );
    let seconds = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.1} s"));
    for row in &report.summary {
        let figures = [
            row.repeats.to_string(),
            megabytes(row.egress_bytes),
            format!("{:.2}x", row.egress_images),
            seconds(row.seed_seconds),
            seconds(row.first_seconds),
            seconds(row.median_seconds),
            seconds(row.last_seconds),
            seconds(Some(row.total_seconds)),
            seconds(Some(report.model.link_seconds)),
            format!("{:.2}", row.eta),
            row.failed.to_string(),
        ];
        let _ = write!(html, "<tr><th class={}>{}</th>", row.arm, row.arm);
        let _ = write!(html, "<td>{}</td></tr>", figures.join("</td><td>"));
    }
    let _ = writeln!(
        html,
        "</tbody></table><p class=note>Medians over the repeats. Seed: the node that pulls first. \
         First, median, last: of the others, from their common start. Bound: image / node link. \
         Eta: bound / last. Sharing in whole layers could take {:.1} s at best, sharing nothing \
         {:.1} s.</p></section>",
        report.model.shared_seconds, report.model.direct_seconds,
    );
}

/// What compares the arms: the registry's egress over time, and when each node was done.
fn overview(html: &mut String, report: &Report) {
    let runs: Vec<_> = report.summary.iter().filter_map(|row| typical(report, row)).collect();
    let image = report.setup.image_bytes.bytes();
    let egress = runs.iter().map(|run| Line {
        label: run.arm.to_string(),
        class: run.arm.to_string(),
        points: timeline(run, &run.samples.egress, to_f64(image)),
    });
    let egress = lines("seconds", "x image", &egress.collect::<Vec<_>>());
    let done = runs.iter().map(|run| Strip {
        label: run.arm.to_string(),
        class: run.arm.to_string(),
        dots: run
            .nodes
            .iter()
            .map(|n| (format!("{}: {:.1} s", n.name, n.seconds), n.seconds))
            .collect(),
    });
    let done = strips(
        "seconds from a node's start to its end; the mark is the bound",
        report.model.link_seconds,
        &done.collect::<Vec<_>>(),
    );
    let legend: String = runs.iter().map(|run| legend(run.arm)).collect();
    let _ = writeln!(
        html,
        "<section><h2>What the registry sent</h2>{legend}{egress}</section>\n\
         <section><h2>How long each node took</h2>{done}</section>",
    );
}

fn arm(html: &mut String, report: &Report, run: &Run) {
    let nodes = run.nodes.iter().zip(&run.samples.received).enumerate();
    let nodes = nodes.map(|(index, (node, received))| Line {
        label: format!("{}: {:.1} s", node.name, node.seconds),
        class: if index == 0 { "seed".into() } else { "node".into() },
        points: timeline(run, received, MIB),
    });
    let received = lines("seconds", "MiB received", &nodes.collect::<Vec<_>>());
    let _ = writeln!(
        html,
        "<section><h2 class={}>{}</h2><h3>Bytes over time, per node</h3><p class=legend><span \
         class=seed>the node that pulls first</span><span class=node>the others</span></p>\
         {received}<h3>Who served whom, in MiB</h3><div class=scroll>{}</div>",
        run.arm,
        run.arm,
        flows::matrix(run, report.setup.image_bytes.bytes()),
    );
    for moved in &run.moves {
        let _ = write!(html, "<p class=note>{}</p>", escape(&moved.to_string()));
    }
    for node in &run.nodes {
        if let Some(error) = &node.error {
            let _ = write!(html, "<p class=failed>{}: {}</p>", escape(&node.name), escape(error));
        }
    }
    html.push_str("</section>\n");
}

fn footer(html: &mut String, report: &Report) {
    let machine = &report.machine;
    let build = if machine.optimised { "optimised" } else { "unoptimised" };
    let _ = writeln!(
        html,
        "<footer><pre>{}</pre><p>{} · {} cores ({}), {} memory, Linux {} · {build} build</p></footer>",
        escape(&report.command),
        escape(&report.started),
        machine.cores,
        escape(&machine.cpu),
        megabytes(machine.memory_bytes),
        escape(&machine.kernel),
    );
}

fn legend(arm: Arm) -> String {
    format!("<span class=\"key {arm}\">{arm}</span>")
}

/// The repeat whose last node was nearest to the arm's median.
fn typical<'a>(report: &'a Report, row: &Summary) -> Option<&'a Run> {
    let distance = |run: &&Run| (run.total_seconds - row.total_seconds).abs();
    let runs = report.runs.iter().filter(|run| run.arm == row.arm);
    runs.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

fn timeline(run: &Run, counter: &[u64], unit: f64) -> Vec<(f64, f64)> {
    let last = counter.len().saturating_sub(1);
    let points = counter.iter().enumerate().map(|(index, bytes)| {
        let sampled = f64::from(u32::try_from(index).unwrap_or(u32::MAX));
        // The last reading was taken at the end, not on a tick.
        let at = sampled * run.samples.interval_seconds;
        (if index == last { run.total_seconds } else { at }, to_f64(*bytes) / unit)
    });
    points.collect()
}

#[allow(clippy::cast_precision_loss, reason = "a place on paper")]
fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn the_page_shows_every_arm_and_needs_no_network() {
        let page = render(&report());
        for outside in ["http://", "https://", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside} would need a network or a script");
        }
        insta::assert_snapshot!(page.replace(STYLE, "[style]\n"));
    }
}
