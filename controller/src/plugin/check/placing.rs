//! Whether a DaemonSet is to have a pod on a node, as its controller decides it. Pure.

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

use crate::plugin::pool::Place;

/// Taints that a DaemonSet's pods tolerate without saying so begin with this.
const OF_CONDITIONS: &str = "node.kubernetes.io/";

/// Whether a pod like that belongs on a node that its node selector selects.
pub(super) fn belongs(pod: &PodSpec, place: &Place) -> bool {
    is_tolerated(pod, &place.taints)
        && affinity(pod).is_none_or(|affinity| selects(affinity, place))
}

fn affinity(pod: &PodSpec) -> Option<&NodeSelector> {
    let node = pod.affinity.as_ref()?.node_affinity.as_ref()?;
    node.required_during_scheduling_ignored_during_execution.as_ref()
}

/// One of the terms is enough.
fn selects(affinity: &NodeSelector, place: &Place) -> bool {
    affinity.node_selector_terms.iter().any(|term| is_met(term, place))
}

/// All of a term's requirements have to be met; an empty one selects nothing.
fn is_met(term: &NodeSelectorTerm, place: &Place) -> bool {
    let labels = term.match_expressions.iter().flatten();
    let labels = labels.map(|one| meets(one, place.labels.get(&one.key)));
    // The one field that there is.
    let fields = term.match_fields.iter().flatten();
    let fields = fields.map(|one| meets(one, Some(&place.name)));
    let met: Vec<_> = labels.chain(fields).collect();
    !met.is_empty() && met.into_iter().all(|met| met)
}

fn meets(requirement: &NodeSelectorRequirement, label: Option<&String>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let number = |text: &String| text.parse::<i64>().ok();
    let numbers = || Some((label.and_then(number)?, values.first().and_then(number)?));
    match requirement.operator.as_str() {
        "In" => label.is_some_and(|label| values.contains(label)),
        "NotIn" => label.is_none_or(|label| !values.contains(label)),
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        "Gt" => numbers().is_some_and(|(label, value)| label > value),
        "Lt" => numbers().is_some_and(|(label, value)| label < value),
        _ => false,
    }
}

fn is_tolerated(pod: &PodSpec, taints: &[Taint]) -> bool {
    let tolerations = pod.tolerations.as_deref().unwrap_or_default();
    let mut keeping = taints.iter().filter(|taint| {
        taint.effect != "PreferNoSchedule" && !taint.key.starts_with(OF_CONDITIONS)
    });
    keeping.all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let any_value = toleration.operator.as_deref() == Some("Exists");
    let key = match toleration.key.as_deref() {
        None | Some("") => any_value,
        Some(key) => key == taint.key,
    };
    let effect = toleration
        .effect
        .as_deref()
        .is_none_or(|effect| effect.is_empty() || effect == taint.effect);
    let value =
        || toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or("");
    key && effect && (any_value || value())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::testing::place;

    fn pod(affinity: Value, tolerations: Value) -> PodSpec {
        serde_json::from_value(json!({
            "containers": [], "tolerations": tolerations,
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": affinity}},
        }))
        .unwrap()
    }

    #[test]
    fn the_affinity_of_the_chart_leaves_virtual_nodes_out_and_no_others() {
        let not = json!({"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]});
        let pod = pod(json!({"nodeSelectorTerms": [{"matchExpressions": [not]}]}), json!([]));
        assert!(belongs(&pod, &place("a")));
        let mut other = place("b");
        other.labels.insert("type".into(), "virtual-kubelet".into());
        assert!(!belongs(&pod, &other));
    }

    #[test]
    fn each_operator_is_that_of_kubernetes() {
        let meets_seven = |operator: &str, values: &[&str]| {
            let requirement = json!({"key": "cores", "operator": operator, "values": values});
            let requirement = serde_json::from_value(requirement).unwrap();
            [Some(&"7".to_owned()), None].map(|label| meets(&requirement, label))
        };
        assert_eq!(meets_seven("In", &["7", "8"]), [true, false]);
        assert_eq!(meets_seven("NotIn", &["7"]), [false, true]);
        assert_eq!(meets_seven("Exists", &[]), [true, false]);
        assert_eq!(meets_seven("DoesNotExist", &[]), [false, true]);
        assert_eq!(meets_seven("Gt", &["6"]), [true, false]);
        assert_eq!(meets_seven("Lt", &["6"]), [false, false]);
    }

    #[test]
    fn a_taint_keeps_a_pod_away_that_does_not_tolerate_it() {
        let exists = json!({"key": "pool", "operator": "Exists"});
        let any = json!({"nodeSelectorTerms": [{"matchExpressions": [exists]}]});
        let mut tainted = place("a");
        let taint = json!({"key": "gpu", "value": "yes", "effect": "NoSchedule"});
        tainted.taints = vec![serde_json::from_value(taint).unwrap()];
        let goes = |tolerations: Value| belongs(&pod(any.clone(), tolerations), &tainted);
        assert!(!goes(json!([])));
        assert!(goes(json!([{"operator": "Exists"}])));
        assert!(goes(json!([{"key": "gpu", "value": "yes"}])));
        assert!(!goes(json!([{"key": "gpu", "value": "no"}])));
        assert!(!goes(json!([{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}])));
        tainted.taints[0].key = "node.kubernetes.io/unschedulable".into();
        assert!(belongs(&pod(any, json!([])), &tainted));
    }
}
