//! The answer of a check. Pure.

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::{
    agents::Agents,
    controllers::Controllers,
    finding::{Finding, Findings, Verdict, text},
    seen::Seen,
};
use crate::plugin::output::Answer;

/// How the cluster's onepull is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    controllers: Controllers,
    agents: Agents,
    #[serde(serialize_with = "list")]
    findings: Findings,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    nodes: &'a [String],
}

// === impl Health ===

impl Health {
    /// Judges what was seen.
    pub(super) fn of(seen: &Seen, now: Timestamp) -> Self {
        let mut findings = Findings::new();
        let controllers = Controllers::of(seen, now, &mut findings);
        let agents = Agents::of(seen, &mut findings);
        Self { controllers, agents, findings }
    }

    /// Whether there is no problem; warnings are none.
    pub(super) fn is_well(&self) -> bool {
        !self.findings.keys().any(|finding| finding.verdict == Verdict::Problem)
    }
}

impl Answer for Health {
    fn text(&self, wide: bool) -> String {
        let mut shown = format!(
            "controllers  {}\nagents       {}\npreflights   {}\n",
            self.controllers.line(),
            self.agents.line(),
            self.agents.preflights()
        );
        match self.findings.is_empty() {
            true => shown += "\nNothing is wrong.\n",
            false => shown += &format!("\n{}", text(&self.findings, wide)),
        }
        shown
    }
}

fn list<S: Serializer>(findings: &Findings, serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(findings.len()))?;
    for (finding, nodes) in findings {
        list.serialize_element(&Entry { finding, nodes })?;
    }
    list.end()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::{apps::v1::DaemonSet, coordination::v1::Lease},
        apimachinery::pkg::apis::meta::v1::Time,
    };
    use onepull_api::{FindingVerdict, Preflight, PreflightFinding};
    use serde_json::json;

    use super::*;
    use crate::plugin::{
        check::seen::{AgentPod, Reported},
        testing::{check, later, noon, place},
    };

    fn lease(seconds: i64) -> Lease {
        let renewed = later(seconds).to_string().replace('Z', ".000000Z");
        let spec = json!({"holderIdentity": "onepull-controller-1", "renewTime": renewed});
        serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()
    }

    fn daemon_set(args: &[&str]) -> DaemonSet {
        let pod = json!({
            "containers": [{"name": "agent", "args": args}], "tolerations": [{"operator": "Exists"}],
        });
        let spec = json!({"selector": {}, "template": {"spec": pod}});
        serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()
    }

    /// Three nodes where all is well.
    fn well() -> Seen {
        let names = ["a", "b", "c"];
        let deployment = json!({
            "metadata": {}, "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": {"readyReplicas": 2},
        });
        let pod = |name: &str| {
            let (ready, why) = (true, None);
            (name.to_owned(), AgentPod { name: format!("onepull-agent-{name}"), ready, why })
        };
        let preflight = Preflight { at: Time(noon()), findings: Vec::new() };
        let reported =
            Reported { version: Some("0.1.0".into()), problem: None, preflight: Some(preflight) };
        Seen {
            namespace: "onepull-system".into(),
            places: names.map(place).into(),
            daemon_set: Some(daemon_set(&["serve"])),
            deployment: Some(serde_json::from_value(deployment).unwrap()),
            lease: Ok(Some(lease(0))),
            pods: names.map(pod).into(),
            reported: names.map(|name| (name.to_owned(), reported.clone())).into(),
        }
    }

    fn finding(check: &str, verdict: FindingVerdict, what: &str) -> PreflightFinding {
        let todo = Some("set config_path = \"/etc/containerd/certs.d\"\nand restart it".into());
        PreflightFinding { check: check.into(), verdict, what: what.into(), todo }
    }

    #[test]
    fn what_is_wrong_is_told_once_for_all_nodes_that_have_it() {
        let mut seen = well();
        let all_well = Health::of(&seen, later(5));
        assert!(all_well.is_well());
        for name in ["a", "b"] {
            let preflight = seen.reported.get_mut(name).unwrap().preflight.as_mut().unwrap();
            preflight.findings = vec![finding(
                "config_path",
                FindingVerdict::Problem,
                "containerd reads no hosts files",
            )];
        }
        let c = seen.reported.get_mut("c").unwrap();
        c.preflight.as_mut().unwrap().findings =
            vec![finding("layers", FindingVerdict::Warning, "dropped after unpacking")];
        c.problem = Some("containerd was not pointed at this mirror".into());
        let pod = seen.pods.get_mut("b").unwrap();
        (pod.ready, pod.why) = (false, Some("CrashLoopBackOff: back-off 5m0s".into()));
        let sick = Health::of(&seen, later(75));
        assert!(!sick.is_well());
        check("check", &(all_well.text(false) + "---\n" + &sick.text(false)));
        let json = serde_json::to_value(&sick).unwrap();
        assert_eq!(json["findings"][0]["verdict"], "problem");
    }

    #[test]
    fn where_nothing_is_installed_it_is_said_where_was_looked() {
        let mut seen = well();
        (seen.daemon_set, seen.deployment) = (None, None);
        (seen.pods, seen.places) = Default::default();
        check("check-nothing", &Health::of(&seen, later(5)).text(false));
    }

    #[test]
    fn a_node_without_a_pod_or_a_report_and_agents_that_are_uninstalled_are_named() {
        let mut seen = well();
        seen.daemon_set = Some(daemon_set(&[
            "uninstall",
            "--stay",
            "--data-dir-parent=/run/onepull/data-parent",
        ]));
        seen.pods.remove("a");
        seen.reported.remove("b");
        seen.lease = Err("you may not get leases".into());
        check("check-missing", &Health::of(&seen, later(5)).text(false));
    }
}
