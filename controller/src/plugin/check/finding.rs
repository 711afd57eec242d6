//! One thing that is not as it should be, and where.

use std::{collections::BTreeMap, fmt};

use onepull_api::{FindingVerdict, PreflightFinding};
use serde::Serialize;

use crate::plugin::words::names;

/// Names of nodes in one line.
const NAMED: usize = 5;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    /// The worst come first.
    pub(super) verdict: Verdict,
    /// Which check, in one word.
    pub(super) check: String,
    /// What was seen.
    pub(super) what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) todo: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// onepull does not work there.
    Problem,
    /// It does less than it could, or that could not be judged.
    Warning,
}

/// Findings, and the nodes that have each; none for what is no node's.
pub(super) type Findings = BTreeMap<Finding, Vec<String>>;

// === impl Finding ===

impl Finding {
    pub(super) fn new(verdict: Verdict, check: &str, what: impl Into<String>, todo: &str) -> Self {
        Self { verdict, check: check.to_owned(), what: what.into(), todo: Some(todo.to_owned()) }
    }

    pub(super) fn problem(check: &str, what: impl Into<String>, todo: &str) -> Self {
        Self::new(Verdict::Problem, check, what, todo)
    }

    pub(super) fn warning(check: &str, what: impl Into<String>, todo: &str) -> Self {
        Self::new(Verdict::Warning, check, what, todo)
    }

    /// One of a node's preflight.
    pub(super) fn of(found: &PreflightFinding) -> Self {
        let verdict = match found.verdict {
            FindingVerdict::Problem => Verdict::Problem,
            FindingVerdict::Warning => Verdict::Warning,
        };
        let (check, what, todo) = (found.check.clone(), found.what.clone(), found.todo.clone());
        Self { verdict, check, what, todo }
    }
}

// === impl Verdict ===

/// As `onepull-agent check` says it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Problem => "PROBLEM",
            Self::Warning => "warning",
        })
    }
}

/// A line for each, and what to do below it, as `onepull-agent check` shows them.
pub(super) fn text(findings: &Findings, wide: bool) -> String {
    let width = findings.keys().map(|finding| finding.check.len()).max().unwrap_or(0);
    let indent = " ".repeat("PROBLEM".len() + width + 4);
    let line = |text: &str| text.replace('\n', &format!("\n{indent}"));
    let mut shown = String::new();
    for (Finding { verdict, check, what, todo }, nodes) in findings {
        let most = if wide { usize::MAX } else { NAMED };
        let place = match nodes.is_empty() {
            true => String::new(),
            false => format!("{}: ", names(nodes, most)),
        };
        shown += &format!("{verdict:<7}  {check:<width$}  {place}{}\n", line(what));
        if let Some(todo) = todo {
            shown += &format!("{indent}-> {}\n", line(todo));
        }
    }
    shown
}
