//! Trials (faults, late nodes) in the report's page: a table, and what was lost or missed.

use std::{fmt, fmt::Write};

use super::escape;
use crate::faults::Verdict;

/// A table whose rows begin with what they are of.
pub(crate) fn figures<const N: usize>(
    html: &mut String,
    headings: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    html.push_str("<table class=figures><thead><tr>");
    for heading in headings {
        let _ = write!(html, "<th>{heading}");
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        let cells = row.map(|cell| escape(&cell));
        let _ = write!(html, "<tr><th>{}</th>", cells[0]);
        let _ = write!(html, "<td>{}</td></tr>", cells[1..].join("</td><td>"));
    }
    html.push_str("</tbody></table>");
}

/// What `trial` lost, and where it was not within its limits.
pub(crate) fn remarks(html: &mut String, trial: impl fmt::Display, verdict: &Verdict) {
    for lost in &verdict.lost {
        let _ = write!(html, "<p class=failed>{trial}: {}</p>", escape(lost));
    }
    for missed in &verdict.missed {
        let _ = write!(html, "<p class=note>{trial}: {}</p>", escape(missed));
    }
}
