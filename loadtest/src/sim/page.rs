//! A simulation as an HTML page that needs no network and no script.

use std::fmt::Write;

use super::{SimReport, table};
use crate::report::{
    html::STYLE,
    plot::{Line, escape, lines},
};

/// Curves that take much longer than the simulation leave the paper, or it would lie on the axis.
const PAPER: f64 = 1.5;

/// The whole page.
pub fn render(report: &SimReport) -> String {
    let curves = curves(report);
    let legend = curves
        .iter()
        .map(|line| format!("<span class=\"key {}\">{}</span>", line.class, escape(&line.label)));
    let body = format!(
        "<section><h2>When n nodes have the image</h2>{}{}<p class=note>Direct and doubling are \
         drawn as far as the paper goes.</p></section>\n",
        legend.collect::<String>(),
        lines("nodes", "seconds", &curves),
    );
    frame("onepull simulation", &table::render(report), &body, &report.command, &report.started)
}

/// A page with a table as text, its plots, and where it came from.
pub(super) fn frame(title: &str, table: &str, body: &str, command: &str, started: &str) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n\
         <header><h1>{title}</h1></header>\n<section class=scroll><pre>{}</pre></section>\n{body}",
        escape(table),
    );
    let _ = writeln!(
        html,
        "<footer><pre>{}</pre><p>{}</p></footer></main></body></html>",
        escape(command),
        escape(started),
    );
    html
}

fn curves(report: &SimReport) -> Vec<Line> {
    let setup = &report.setup;
    let done = (1..).zip(&report.onepull.done_seconds);
    let done = done.map(|(nodes, seconds)| (f64::from(nodes), *seconds)).collect();
    let line = |label: &str, class: &str, points| Line {
        label: label.into(),
        class: class.into(),
        points,
    };
    let highest = PAPER * report.onepull.last_seconds.max(setup.doubling_seconds(3));
    let formula = |seconds: &dyn Fn(u32) -> f64| {
        let points = (1..=setup.pullers()).map(|nodes| (f64::from(nodes), seconds(nodes)));
        points.take_while(|(_, seconds)| *seconds <= highest).collect::<Vec<_>>()
    };
    vec![
        line("onepull (simulated)", "onepull", done),
        line("bound", "ideal", formula(&|nodes| setup.bound_seconds(nodes))),
        line("whole-image doubling", "node", formula(&|nodes| setup.doubling_seconds(nodes))),
        line("direct", "direct", formula(&|nodes| setup.direct_seconds(nodes))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{simulate, testing::config};

    #[test]
    fn the_page_draws_all_curves_and_needs_no_network() {
        let report = simulate(&config(16), "onepull-loadtest sim".into(), String::new()).unwrap();
        let page = render(&report);
        assert_eq!(page.matches("<polyline").count(), 4);
        for outside in ["http://", "https://", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside} would need a network or a script");
        }
    }
}
