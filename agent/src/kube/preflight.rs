//! Runs the preflight on this node now and then, and has what it found reported.
//!
//! So whoever looks at the cluster sees what `onepull-agent check` would say on each node, without a way to
//! the nodes ([ADR 25](../../../docs/adr/0025-agents-report-their-preflight.md)).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use onepull_api::{FindingVerdict, MAX_FINDING_TEXT, MAX_FINDINGS, Preflight, PreflightFinding};
use tokio::{
    sync::watch,
    time::{Duration, sleep},
};

use crate::check::{self, CheckConfig, Finding, Verdict};

/// After the start, until peers and containerd have had their time. All nodes of a rollout look at other
/// moments.
const SETTLE: Duration = Duration::from_secs(20);
const SPREAD: Duration = Duration::from_secs(40);

/// Between two looks at a node where all is well. What breaks meanwhile shows in metrics and readiness.
const WELL: Duration = Duration::from_secs(6 * 3600);

/// Between two looks at a node with a problem, so that what was mended is seen to be. Each look is one pull
/// that fails at once.
const UNWELL: Duration = Duration::from_secs(600);

/// Looks, as long as it is polled.
pub(super) async fn run(config: CheckConfig, found: watch::Sender<Option<Preflight>>) {
    sleep(SETTLE + SPREAD.mul_f64(rand::random())).await;
    loop {
        let preflight = summary(&check::run(&config).await, Timestamp::now());
        let has_problem = preflight.findings.iter().any(is_problem);
        found.send_if_modified(|known| {
            let is_new = !says_the_same(known.as_ref(), Some(&preflight));
            if is_new {
                *known = Some(preflight);
            }
            is_new
        });
        sleep(if has_problem { UNWELL } else { WELL }).await;
    }
}

/// Whether two say the same but for their words, some of which are made up anew each time.
pub(super) fn says_the_same(one: Option<&Preflight>, other: Option<&Preflight>) -> bool {
    let kinds = |preflight: Option<&Preflight>| {
        let findings = preflight.map(|preflight| &preflight.findings)?.iter();
        Some(findings.map(|it| (it.check.clone(), it.verdict)).collect::<Vec<_>>())
    };
    kinds(one) == kinds(other)
}

/// What is not as it should be. What a pod cannot see of its node is no finding: whether containerd asks the
/// mirror is proved all the same.
fn summary(findings: &[Finding], now: Timestamp) -> Preflight {
    let findings = findings.iter().filter(|finding| finding.is_judged()).filter_map(reported);
    let at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Preflight { at: Time(at), findings: findings.take(MAX_FINDINGS).collect() }
}

fn reported(finding: &Finding) -> Option<PreflightFinding> {
    let verdict = match finding.verdict {
        Verdict::Ok => return None,
        Verdict::Warning => FindingVerdict::Warning,
        Verdict::Problem => FindingVerdict::Problem,
    };
    let short = |text: &str| text.chars().take(MAX_FINDING_TEXT).collect();
    Some(PreflightFinding {
        check: finding.name.to_owned(),
        verdict,
        what: short(&finding.what),
        todo: finding.todo.as_deref().map(short),
    })
}

fn is_problem(finding: &PreflightFinding) -> bool {
    finding.verdict == FindingVerdict::Problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &'static str, verdict: Verdict, what: &str) -> Finding {
        Finding { name, verdict, what: what.into(), todo: Some("mend it".into()) }
    }

    #[test]
    fn what_is_well_or_cannot_be_seen_from_a_pod_is_not_reported() {
        let long = "ä".repeat(MAX_FINDING_TEXT + 1);
        let findings = [
            finding("containerd", Verdict::Ok, "answers"),
            finding("config_path", Verdict::Warning, "not known: no such file"),
            finding("cluster-key", Verdict::Warning, &long),
            finding("proof", Verdict::Problem, "containerd does not ask"),
        ];
        let now = Timestamp::from_millisecond(1_500).unwrap();
        let expected = |check: &str, verdict, what: &str| PreflightFinding {
            check: check.into(),
            verdict,
            what: what.into(),
            todo: Some("mend it".into()),
        };
        let found = vec![
            expected("cluster-key", FindingVerdict::Warning, &"ä".repeat(MAX_FINDING_TEXT)),
            expected("proof", FindingVerdict::Problem, "containerd does not ask"),
        ];
        let at = Time(Timestamp::from_second(1).unwrap());
        assert_eq!(summary(&findings, now), Preflight { at, findings: found });
    }

    #[test]
    fn other_words_for_the_same_are_the_same() {
        let now = Timestamp::UNIX_EPOCH;
        let proof = |what| summary(&[finding("proof", Verdict::Problem, what)], now);
        let well = summary(&[], now);
        assert!(says_the_same(Some(&proof("sha256:1")), Some(&proof("sha256:2"))));
        assert!(!says_the_same(Some(&proof("a")), Some(&well)));
        assert!(!says_the_same(None, Some(&well)));
    }
}
