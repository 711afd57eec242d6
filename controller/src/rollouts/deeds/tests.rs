use std::collections::BTreeMap;

use k8s_openapi::api::core::v1;
use kube::core::ObjectMeta;
use onepull_api::NodeImageCache;
use serde_json::{Value, json};

use super::*;
use crate::convert::{Machine, Names};
use crate::planner::{
    CacheId, Condition, ConditionReason, Conditions, Hold, NodeCounts, Rollup, Source,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn machine(name: &str, labels: &[(&str, &str)]) -> Arc<Machine> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        uid: Some(format!("uid-of-{name}")),
        labels: Some(labels.collect()),
        ..ObjectMeta::default()
    };
    let node = v1::Node { metadata, ..v1::Node::default() };
    Arc::new(Machine::read(&node, &mut Names::default()))
}

fn read(object: &NodeImageCache) -> Arc<Told> {
    Arc::new(Told::read(object, &mut Names::default(), NOW))
}

fn cache(more: &Value) -> Arc<ImageCache> {
    let mut object = json!({
        "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache",
        "metadata": {"name": "llm", "namespace": "team", "resourceVersion": "7"},
        "spec": {"cacheSpec": []},
    });
    for (part, fields) in more.as_object().unwrap() {
        for (field, value) in fields.as_object().unwrap() {
            object[part][field] = value.clone();
        }
    }
    Arc::new(serde_json::from_value(object).unwrap())
}

fn plan(nodes: &[&str], released: bool) -> Plan {
    let hold = Hold {
        digest: "sha256:aa".into(),
        refs: ["r.example/app:v1".into()].into(),
        source: Source::Peers,
        generation: 1,
        caches: [CacheId::new("team", "llm")].into(),
    };
    let told = NodePlan { holds: vec![hold], ..NodePlan::default() };
    let condition =
        Condition { holds: false, reason: ConditionReason::AsExpected, message: String::new() };
    let rollup = Rollup {
        images: Vec::new(),
        nodes: NodeCounts::default(),
        not_warm: Vec::new(),
        selected: Vec::new(),
        upstream_bytes: 0,
        image_bytes: 0,
        conditions: Conditions {
            ready: condition.clone(),
            progressing: condition.clone(),
            degraded: condition,
        },
        released,
    };
    Plan {
        nodes: nodes.iter().map(|name| ((*name).into(), told.clone())).collect(),
        caches: BTreeMap::from([(CacheId::new("team", "llm"), rollup)]),
        ..Plan::default()
    }
}

/// What is written for these objects and that plan; what it does is done to the objects.
fn written(snapshot: &mut Snapshot, plan: &Plan) -> Vec<Deed> {
    let convert = |machine: &Arc<Machine>| {
        let told = snapshot.told.get(machine.name.as_str()).map(Arc::as_ref);
        Arc::new(convert::node(machine, told, convert::DiskPolicy::default()))
    };
    let nodes = snapshot.machines.iter().map(convert).collect();
    let inputs = Inputs { nodes, ..Inputs::default() };
    let deeds = deeds(snapshot, &inputs, &mut plan.clone(), &BTreeMap::new(), NOW);
    for deed in &deeds {
        match deed.clone() {
            Deed::Tell(telling) => {
                let object = telling.object();
                snapshot.told.insert(object.name_any(), read(&object));
            }
            Deed::Delete { node, .. } => drop(snapshot.told.remove(&node)),
            Deed::Report { status, .. } => {
                Arc::make_mut(&mut snapshot.caches[0]).status = Some(*status);
            }
            Deed::Finalizer { finalizers, .. } => {
                Arc::make_mut(&mut snapshot.caches[0]).metadata.finalizers = Some(finalizers);
            }
        }
    }
    deeds
}

#[test]
fn every_node_is_told_once_and_its_object_is_owned_by_it() {
    let machines = vec![machine("a", &[]), machine("b", &[])];
    let mut snapshot = Snapshot { machines, ..Snapshot::default() };
    let plan = plan(&["a"], false);
    let deeds = written(&mut snapshot, &plan);
    let [Deed::Tell(a), Deed::Tell(b)] = deeds.as_slice() else { panic!("{deeds:?}") };
    let [a, b] = [a.object(), b.object()];
    assert_eq!((a.name_any().as_str(), a.spec.images.len()), ("a", 1));
    assert_eq!(
        (b.name_any().as_str(), b.spec.images.len()),
        ("b", 0),
        "an agent tells its disk there"
    );
    let owner = &a.owner_references()[0];
    assert_eq!(
        (owner.api_version.as_str(), owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str()),
        ("v1", "Node", "a", "uid-of-a"),
    );
    assert_eq!(written(&mut snapshot, &plan), [], "what is so already is not written");
}

#[test]
fn who_others_wait_for_is_told_first_then_who_was_told_least() {
    let names = ["told", "new", "seed"];
    let machines = names.map(|name| machine(name, &[])).to_vec();
    let caches = vec![cache(&json!({}))];
    let mut snapshot = Snapshot { machines, caches, ..Snapshot::default() };
    written(&mut snapshot, &plan(&["told"], false));
    snapshot.caches[0] = cache(&json!({}));
    let mut plan = plan(&names, false);
    for (name, source) in [("told", Source::Peers), ("seed", Source::Upstream)] {
        let holds = &mut plan.nodes.get_mut(&name.into()).unwrap().holds;
        holds[0].generation = 2;
        holds[0].source = source;
    }
    let order = written(&mut snapshot, &plan).into_iter().map(|deed| match deed {
        Deed::Tell(telling) => telling.machine.name.to_string(),
        _ => "cache".to_owned(),
    });
    assert_eq!(order.collect::<Vec<_>>(), ["cache", "seed", "new", "told"]);
}

#[test]
fn a_virtual_node_has_no_object_but_one_that_became_virtual_is_told_to_hold_nothing() {
    let kwok = machine("kwok", &[("type", "virtual-kubelet")]);
    let mut snapshot = Snapshot { machines: vec![kwok.clone()], ..Snapshot::default() };
    assert_eq!(written(&mut snapshot, &Plan::default()), []);
    let spec = convert::spec(
        &convert::node(&kwok, None, Default::default()),
        &plan(&["kwok"], false).nodes[&"kwok".into()],
        &[],
    );
    let told = NodeImageCache::new("kwok", spec);
    snapshot.told.insert("kwok".into(), read(&told));
    let deeds = written(&mut snapshot, &Plan::default());
    let [Deed::Tell(told)] = deeds.as_slice() else { panic!("{deeds:?}") };
    assert!(told.object().spec.images.is_empty());
}

#[test]
fn what_a_node_was_told_goes_with_the_node_and_another_of_its_name_stays() {
    let mut told = NodeImageCache::new("gone", Default::default());
    told.metadata.uid = Some("1".into());
    let told = [("gone".to_owned(), read(&told))].into();
    let mut snapshot = Snapshot { told, ..Snapshot::default() };
    let deed = Deed::Delete { node: "gone".into(), uid: Some("1".into()) };
    assert_eq!(written(&mut snapshot, &Plan::default()), [deed]);
    assert_eq!(written(&mut snapshot, &Plan::default()), []);
}

#[test]
fn a_status_is_written_once_and_a_cache_that_no_plan_knows_gets_none() {
    let mut snapshot = Snapshot { caches: vec![cache(&json!({}))], ..Snapshot::default() };
    assert_eq!(written(&mut snapshot, &Plan::default()), []);
    let plan = plan(&[], false);
    let deeds = written(&mut snapshot, &plan);
    let [Deed::Report { namespace, name, .. }] = deeds.as_slice() else { panic!("{deeds:?}") };
    assert_eq!((namespace.as_str(), name.as_str()), ("team", "llm"));
    assert_eq!(written(&mut snapshot, &plan), []);
}

/// The finalizers that a cache is given; `None` where they stay.
fn finalizers(more: &Value, released: bool) -> Option<Vec<String>> {
    let mut snapshot = Snapshot { caches: vec![cache(more)], ..Snapshot::default() };
    let deeds = written(&mut snapshot, &plan(&[], released));
    deeds.into_iter().find_map(|deed| match deed {
        Deed::Finalizer { finalizers, resource_version, .. } => {
            assert_eq!(resource_version.as_deref(), Some("7"), "of the object that was looked at");
            Some(finalizers)
        }
        _ => None,
    })
}

#[test]
fn only_a_cache_whose_images_are_removed_is_held_back_and_only_until_they_are() {
    let spec = |on_delete: &str| json!({"onDelete": on_delete});
    let held = |deleted: bool| {
        let mut metadata = json!({"finalizers": ["other.example/f", FINALIZER]});
        if deleted {
            metadata["deletionTimestamp"] = json!("2026-11-24T12:00:00Z");
        }
        metadata
    };
    let others = vec!["other.example/f".to_owned()];
    assert_eq!(finalizers(&json!({"spec": spec("Keep")}), false), None);
    let set = finalizers(&json!({"spec": spec("Remove")}), false);
    assert_eq!(set.as_deref(), Some(&[FINALIZER.to_owned()][..]));
    let remove = |deleted| json!({"spec": spec("Remove"), "metadata": held(deleted)});
    assert_eq!(finalizers(&remove(false), false), None, "it is held back already");
    assert_eq!(finalizers(&remove(true), false), None, "its images are still there");
    assert_eq!(finalizers(&remove(true), true), Some(others.clone()), "those of others stay");
    let changed = json!({"spec": spec("Keep"), "metadata": held(false)});
    assert_eq!(finalizers(&changed, false), Some(others), "nothing is to be removed any more");
}
