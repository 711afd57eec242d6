//! Faults as a section of the report's page.

use std::fmt::Write;

use super::{FaultRun, table};
use crate::report::escape;

/// The section; nothing without faults.
pub(crate) fn section(html: &mut String, runs: &[FaultRun]) {
    if runs.is_empty() {
        return;
    }
    html.push_str(
        "<section><h2>What went wrong, and what it cost</h2><table class=figures><thead><tr>",
    );
    for heading in table::HEADINGS {
        let _ = write!(html, "<th>{heading}");
    }
    html.push_str("</tr></thead><tbody>");
    for run in runs {
        let cells = table::cells(run).map(|cell| escape(&cell));
        let _ = write!(html, "<tr><th>{}</th>", cells[0]);
        let _ = write!(html, "<td>{}</td></tr>", cells[1..].join("</td><td>"));
    }
    html.push_str("</tbody></table>");
    for run in runs {
        for lost in &run.verdict.lost {
            let _ = write!(html, "<p class=failed>{}: {}</p>", run.fault, escape(lost));
        }
        for missed in &run.verdict.missed {
            let _ = write!(html, "<p class=note>{}: {}</p>", run.fault, escape(missed));
        }
    }
    html.push_str(
        "<p class=note>Each fault has a storm of its own, beside the undisturbed one above. Lost is \
         a failed pull of a node that the fault did not strike.</p></section>\n",
    );
}
