//! Late nodes as a section of the report's page.

use super::{LateRun, table};
use crate::report::trials::{figures, remarks};

/// The section; nothing without late nodes.
pub(crate) fn section(html: &mut String, runs: &[LateRun]) {
    if runs.is_empty() {
        return;
    }
    html.push_str("<section><h2>Nodes that came late</h2>");
    figures(html, table::HEADINGS, runs.iter().map(table::cells));
    for run in runs {
        remarks(html, run.late, &run.verdict);
    }
    html.push_str("</section>\n");
}
