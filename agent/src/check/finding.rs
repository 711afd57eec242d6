//! What a check found, and how it is shown.

use std::{error::Error, fmt};

use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check, one word.
    pub name: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was seen.
    pub what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// onepull works, but does less than it could, or could not be judged.
    Warning,
    /// onepull does not work on this node.
    Problem,
}

// === impl Finding ===

impl Finding {
    pub(super) fn ok(name: &'static str, what: impl fmt::Display) -> Self {
        Self { name, verdict: Verdict::Ok, what: what.to_string(), todo: None }
    }

    pub(super) fn warning(name: &'static str, what: impl fmt::Display, todo: &str) -> Self {
        let what = what.to_string();
        Self { name, verdict: Verdict::Warning, what, todo: Some(todo.into()) }
    }

    pub(super) fn broken(name: &'static str, what: impl fmt::Display, todo: &str) -> Self {
        Self { verdict: Verdict::Problem, ..Self::warning(name, what, todo) }
    }

    /// Whether it could be judged: what says that something is not known says so first.
    pub(crate) fn is_judged(&self) -> bool {
        !self.what.starts_with("not known")
    }

    /// A problem whose message says what to do already.
    pub(super) fn problem(name: &'static str, error: &dyn Error) -> Self {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            what.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self { name, verdict: Verdict::Problem, what, todo: None }
    }
}

// === impl Verdict ===

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
        })
    }
}

/// The exit status of the command: 1 when there is a problem, else 0.
pub fn exit_status(findings: &[Finding]) -> u8 {
    u8::from(findings.iter().any(|finding| finding.verdict == Verdict::Problem))
}

/// One aligned line a finding, and what to do below it.
pub fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let indent = " ".repeat("PROBLEM".len() + width + 4);
    let line = |text: &str| text.replace('\n', &format!("\n{indent}"));
    let mut table = String::new();
    for Finding { name, verdict, what, todo } in findings {
        table.push_str(&format!("{verdict:<7}  {name:<width$}  {}\n", line(what)));
        if let Some(todo) = todo {
            table.push_str(&format!("{indent}-> {}\n", line(todo)));
        }
    }
    table
}

/// The same for programs: an array of objects.
pub fn json(findings: &[Finding]) -> String {
    serde_json::json!(findings).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::ok("containerd", "answers"),
            Finding::broken("ports", "taken", "stop it\nor choose another"),
        ]
    }

    #[test]
    fn the_table_is_aligned_and_says_what_to_do_below() {
        let expected = "\
ok       containerd  answers
PROBLEM  ports       taken
                     -> stop it
                     or choose another
";
        assert_eq!(table(&findings()), expected);
    }

    #[test]
    fn programs_get_the_same_as_json() {
        let expected = concat!(
            r#"[{"name":"containerd","verdict":"ok","what":"answers"},"#,
            r#"{"name":"ports","todo":"stop it\nor choose another","verdict":"problem","what":"taken"}]"#
        );
        assert_eq!(json(&findings()), expected);
    }

    #[test]
    fn only_a_problem_makes_the_status_1() {
        assert_eq!(exit_status(&findings()), 1);
        assert_eq!(exit_status(&findings()[..1]), 0);
        assert_eq!(exit_status(&[Finding::warning("a", "b", "c")]), 0);
    }
}
