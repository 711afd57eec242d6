//! Faults as a section of the report's page.

use super::{FaultRun, table};
use crate::report::trials::{figures, remarks};

/// The section; nothing without faults.
pub(crate) fn section(html: &mut String, runs: &[FaultRun]) {
    if runs.is_empty() {
        return;
    }
    html.push_str("<section><h2>What went wrong, and what it cost</h2>");
    figures(html, table::HEADINGS, runs.iter().map(table::cells));
    for run in runs {
        remarks(html, run.fault, &run.verdict);
    }
    html.push_str(
        "<p class=note>Each fault has a storm of its own, beside the undisturbed one above. Lost is \
         a failed pull of a node that the fault did not strike.</p></section>\n",
    );
}
