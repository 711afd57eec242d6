//! Rendered manifests as values.

use onepull_deploy::template;
use onepull_testbed::{Requirement, skip};
use serde_json::Value;

/// Every value is another one than the default.
pub(crate) const FULL: &str = "--values=render/tests/values/full.yaml";

/// Whether `test` has to be left out: Helm cannot be built here.
pub(crate) fn no_helm(test: &str) -> bool {
    skip(test, &[Requirement::Helm])
}

/// The objects that the chart makes of the default values, and of other ones; hooks included.
pub(crate) fn both() -> [Vec<Value>; 2] {
    [rendered(&[]), rendered(&[FULL])]
}

/// The objects that the chart makes of these values, hooks included.
pub(crate) fn rendered(arguments: &[&str]) -> Vec<Value> {
    objects(&template(arguments).unwrap())
}

/// The objects of a file with several documents.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    let parsed = text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap());
    parsed.filter(|object: &Value| object.is_object()).collect()
}

/// The only object of a kind and name.
pub(crate) fn the<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let found: Vec<_> = objects.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found[0]
}

/// The pods that objects make: those of DaemonSets, Deployments and Jobs, with the names of these.
pub(crate) fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    let makes_pods = |object: &&Value| object["spec"]["template"].is_object();
    let made = objects.iter().filter(makes_pods);
    made.map(|object| {
        (object["metadata"]["name"].as_str().unwrap(), &object["spec"]["template"]["spec"])
    })
    .collect()
}

/// The elements of an array that may be missing.
pub(crate) fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The texts of an array that may be missing.
pub(crate) fn texts(list: &Value) -> Vec<&str> {
    each(list).map(|text| text.as_str().unwrap()).collect()
}
