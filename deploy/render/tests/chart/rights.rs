//! No account may do more than docs/security.md says.

use std::{collections::BTreeSet, fs};

use onepull_deploy::{NAMESPACE, deploy};
use serde_json::Value;

use crate::manifests::{both, each, no_helm, texts};

const HEADING: &str = "## What its accounts may do";

/// What an account may do, in a sentence; each names one group, resource, name and verb.
type Rights = BTreeSet<String>;

/// The rights of the table.
fn written() -> Rights {
    let page = fs::read_to_string(deploy().join("../docs/security.md")).unwrap();
    let section = page.split_once(HEADING).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| onepull-"));
    rows.flat_map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [account, place, group, resources, names, verbs] = cells[..] else { panic!("{row}") };
        let lists = [group, resources, names, verbs].map(|cell| cell.split(' ').collect());
        each_of(account, place, lists)
    })
    .collect()
}

/// The rights of a rule: one of each list, in all ways.
fn each_of(account: &str, place: &str, lists: [Vec<&str>; 4]) -> Rights {
    let mut all = Rights::new();
    let [groups, resources, names, verbs] = lists;
    for group in groups {
        for resource in &resources {
            for name in &names {
                for verb in &verbs {
                    let what = format!("{verb} {resource} of {group}, name {name}");
                    all.insert(format!("{account} may in {place} {what}"));
                }
            }
        }
    }
    all
}

/// The rights that objects give.
fn given(objects: &[Value]) -> Rights {
    let bindings = objects.iter().filter(|object| object["roleRef"].is_object());
    let rights = bindings.map(|binding| {
        let role = role_of(objects, binding);
        let (account, place) = (account_of(binding), place_of(binding, role));
        each(&role["rules"]).flat_map(|rule| rights_of(account, place, rule)).collect::<Rights>()
    });
    rights.flatten().collect()
}

fn place_of(binding: &Value, role: &Value) -> &'static str {
    match (binding["kind"].as_str().unwrap(), role["kind"].as_str().unwrap()) {
        ("ClusterRoleBinding", "ClusterRole") => "cluster",
        ("RoleBinding", "Role") => {
            let spaces = [binding, role].map(|it| &it["metadata"]["namespace"]);
            assert_eq!(spaces, [NAMESPACE, NAMESPACE]);
            "its namespace"
        }
        other => panic!("{other:?}"),
    }
}

fn role_of<'a>(objects: &'a [Value], binding: &Value) -> &'a Value {
    let reference = &binding["roleRef"];
    let is = |object: &&Value| {
        object["kind"] == reference["kind"] && object["metadata"]["name"] == reference["name"]
    };
    let role = objects.iter().find(is).unwrap();
    assert!(role["aggregationRule"].is_null(), "{role}");
    role
}

fn account_of(binding: &Value) -> &str {
    let [subject] = &binding["subjects"].as_array().unwrap()[..] else { panic!("{binding}") };
    assert_eq!([&subject["kind"], &subject["namespace"]], ["ServiceAccount", NAMESPACE]);
    subject["name"].as_str().unwrap()
}

fn rights_of(account: &str, place: &str, rule: &Value) -> Rights {
    assert!(rule["nonResourceURLs"].is_null(), "{rule}");
    let list = |key: &str| texts(&rule[key]);
    let groups = list("apiGroups").into_iter();
    let groups = groups.map(|group| if group.is_empty() { "core" } else { group }).collect();
    let names = Some(list("resourceNames")).filter(|names| !names.is_empty());
    let names = names.unwrap_or_else(|| vec!["all"]);
    each_of(account, place, [groups, list("resources"), names, list("verbs")])
}

#[test]
fn accounts_may_do_what_the_page_on_security_says_and_nothing_else() {
    if no_helm("accounts_may_do_what_the_page_on_security_says_and_nothing_else") {
        return;
    }
    let written = written();
    assert!(written.len() > 20, "{written:?}");
    for objects in both() {
        let given = given(&objects);
        let more: Vec<_> = given.difference(&written).collect();
        assert!(more.is_empty(), "docs/security.md does not say that accounts may: {more:#?}");
        let less: Vec<_> = written.difference(&given).collect();
        assert!(less.is_empty(), "docs/security.md says what accounts may not: {less:#?}");
    }
}

#[test]
fn every_role_is_bound_and_no_account_is_another_ones() {
    if no_helm("every_role_is_bound_and_no_account_is_another_ones") {
        return;
    }
    for objects in both() {
        let named = |kind: &str| -> BTreeSet<_> {
            let of_kind = objects.iter().filter(|object| object["kind"] == kind);
            of_kind.map(|object| object["metadata"]["name"].as_str().unwrap()).collect()
        };
        for (role, binding) in [("Role", "RoleBinding"), ("ClusterRole", "ClusterRoleBinding")] {
            assert_eq!(named(role), named(binding));
            assert_eq!(named(role), named("ServiceAccount"));
        }
    }
}
