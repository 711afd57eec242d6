//! Values: what is refused and with which words, and the cluster key.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use onepull_deploy::{NAMESPACE, deploy, helm, template};
use serde_json::Value;

use crate::manifests::{FULL, each, no_helm, rendered, the};

/// What Helm says to values that make no sense.
fn refused(set: &str) -> String {
    let said = template(&["--set-json", set]).err();
    said.unwrap_or_else(|| panic!("{set} is not refused")).to_string()
}

#[test]
fn values_that_make_no_sense_are_refused_by_their_names() {
    if no_helm("values_that_make_no_sense_are_refused_by_their_names") {
        return;
    }
    for (set, words) in [
        (r#"agents={"log":"debug"}"#, &["additional properties 'agents' not allowed"][..]),
        (r#"agent.registry=["a"]"#, &["/agent", "'registry' not allowed"]),
        (r#"agent.ports.p2p=70000"#, &["/agent/ports/p2p", "want 65,535"]),
        (r#"agent.maxUnavailable="0%""#, &["/agent/maxUnavailable"]),
        (r#"agent.capabilities=["ALL"]"#, &["/agent/capabilities/0"]),
        (r#"controller.replicas=0"#, &["/controller/replicas", "minimum"]),
        (r#"controller.replicas="two""#, &["/controller/replicas", "want integer"]),
        (r#"image.digest="sha256:1""#, &["/image/digest", "does not match pattern"]),
        (r#"containerd.socket="containerd.sock""#, &["/containerd/socket"]),
        (r#"credentialProviders.config="/etc/plugins.yaml""#, &["/credentialProviders"]),
        (r#"clusterKey.existingSecret="Our Key""#, &["/clusterKey/existingSecret"]),
        (r#"uninstall.timeoutSeconds=1"#, &["/uninstall/timeoutSeconds", "minimum"]),
    ] {
        let said = refused(set);
        for word in words {
            assert!(said.contains(word), "{set}: {word:?} is missing in {said}");
        }
    }
}

#[test]
fn every_value_is_described() {
    let text = fs::read_to_string(deploy().join("chart/values.yaml")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let is_value = |line: &str| {
        let name = line.strip_prefix("  ").unwrap_or(line);
        name.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    let silent = lines.windows(2).filter(|two| is_value(two[1]));
    let silent = silent.filter(|two| !two[0].trim_start().starts_with('#'));
    assert_eq!(silent.map(|two| two[1]).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_value_is_known_to_the_schema() {
    let text = fs::read_to_string(deploy().join("chart/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let schema = fs::read_to_string(deploy().join("chart/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let known = |schema: &Value| -> Vec<String> {
        let names = schema["properties"].as_object().unwrap().keys().cloned();
        names.filter(|name| name != "global").collect()
    };
    let given =
        |values: &Value| -> Vec<String> { values.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(given(&values), known(&schema));
    for (part, values) in values.as_object().unwrap() {
        let schema = &schema["properties"][part];
        if schema["properties"].is_object() {
            assert_eq!(given(values), known(schema), "{part}");
            assert_eq!(schema["additionalProperties"], false, "{part}");
        }
    }
}

#[test]
fn everything_is_for_the_namespace_of_the_installation() {
    if no_helm("everything_is_for_the_namespace_of_the_installation") {
        return;
    }
    let elsewhere = ["template", "onepull", "chart", "--namespace=elsewhere"];
    for values in [&[][..], &[FULL]] {
        let text = helm(&[&elsewhere, values].concat()).unwrap();
        assert!(!text.contains(NAMESPACE), "{text}");
        assert!(text.contains("system:serviceaccount:elsewhere:onepull-agent"), "the policy's");
    }
}

#[test]
fn the_chart_makes_a_key_of_32_random_bytes_unless_it_is_given_one() {
    if no_helm("the_chart_makes_a_key_of_32_random_bytes_unless_it_is_given_one") {
        return;
    }
    // No cluster is looked at here, so each is new.
    let keys = [key(), key()];
    for key in &keys {
        assert_eq!(key.len(), 64, "{key}");
        assert!(key.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f')), "{key}");
    }
    assert_ne!(keys[0], keys[1]);

    let objects = rendered(&["--set=clusterKey.existingSecret=ours"]);
    assert!(objects.iter().all(|object| object["kind"] != "Secret"));
    let agent = &the(&objects, "DaemonSet", "onepull-agent")["spec"]["template"]["spec"];
    let volume = each(&agent["volumes"]).find(|volume| volume["name"] == "cluster-key").unwrap();
    assert_eq!(volume["secret"]["secretName"], "ours");
}

/// What the file holds that agents read.
fn key() -> String {
    let objects = rendered(&[]);
    let data = &the(&objects, "Secret", "onepull-cluster-key")["data"]["cluster.key"];
    String::from_utf8(STANDARD.decode(data.as_str().unwrap()).unwrap()).unwrap()
}
