use jiff::Timestamp;
use onepull_api::NodeImageCache;
use serde_json::{Value, json};

use super::*;
use crate::convert::Names;
use crate::planner::{CacheId, Disk, Hold, Report, Source, State, Trouble, TroubleKind};

const APP: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const WEB: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn machine() -> Value {
    json!({
        "metadata": { "name": "gpu-1", "labels": { "pool": "gpu", "kubernetes.io/arch": "arm64" } },
        "spec": { "taints": [{ "key": "nvidia.com/gpu", "effect": "NoSchedule" }] },
        "status": {
            "conditions": [
                { "type": "MemoryPressure", "status": "False" },
                { "type": "Ready", "status": "True" },
            ],
            "nodeInfo": {
                "operatingSystem": "linux", "architecture": "amd64", "bootID": "", "kernelVersion": "",
                "containerRuntimeVersion": "containerd://2.2.9", "kubeProxyVersion": "", "machineID": "",
                "kubeletVersion": "v1.34.4", "osImage": "", "systemUUID": "",
            },
        },
    })
}

fn told() -> NodeImageCache {
    let object = json!({
        "apiVersion": "onepull.dev/v1alpha1", "kind": "NodeImageCache", "metadata": { "name": "gpu-1" },
        "spec": { "images": [{
            "refs": ["r.example/app:v1"], "digest": APP, "source": "Peers", "generation": 4,
            "caches": ["team/llm"],
        }] },
        "status": {
            "disk": { "capacityBytes": 1000, "availableBytes": 900 },
            "images": [
                {
                    "ref": "r.example/app:v1", "digest": APP, "generation": 4, "state": "Failed",
                    "since": "2026-11-24T11:59:00Z", "reason": "DiskFull", "message": "no space left",
                    "bytesTotal": 9, "bytesDone": 7, "bytesFromUpstream": 3,
                },
                {
                    "ref": "r.example/web:v1", "digest": WEB, "generation": 1, "state": "Removing",
                    "since": "2031-01-01T00:00:00Z", "reason": "ImageInUse", "blobsComplete": true,
                },
                { "ref": "r.example/app:v0", "digest": APP, "generation": 1, "state": "Removed" },
            ],
        },
    });
    serde_json::from_value(object).unwrap()
}

fn read(machine: Value, object: Option<&NodeImageCache>) -> Node {
    let (machine, mut names) = (serde_json::from_value(machine).unwrap(), Names::default());
    let machine = Machine::read(&machine, &mut names);
    let told = object.map(|object| Told::read(object, &mut names, now()));
    node(&machine, told.as_ref(), DiskPolicy::default())
}

#[test]
fn a_node_is_what_both_objects_say() {
    let known = read(machine(), Some(&told()));
    let app = Report {
        generation: 4,
        state: State::Failed,
        since: "2026-11-24T11:59:00Z".parse().unwrap(),
        complete: false,
        in_use: false,
        bytes: 7,
        total: Some(9),
        upstream: 3,
        trouble: Some(Trouble::new(TroubleKind::DiskFull, "no space left")),
    };
    // Its clock is wrong.
    let web = Report {
        generation: 1,
        state: State::Removing,
        since: now(),
        complete: true,
        in_use: true,
        bytes: 0,
        total: None,
        upstream: 0,
        trouble: None,
    };
    let label = |key: &str, value: &str| (key.into(), value.into());
    let expected = Node {
        name: "gpu-1".into(),
        labels: [label("pool", "gpu"), label("kubernetes.io/arch", "arm64")].into(),
        platform: "linux/amd64".into(),
        ready: true,
        virtual_node: false,
        schedulable: true,
        disk: Some(Disk { free: 750, budget: 600 }),
        holds: vec![Hold {
            digest: APP.into(),
            refs: ["r.example/app:v1".into()].into(),
            source: Source::Peers,
            generation: 4,
            caches: [CacheId::new("team", "llm")].into(),
        }],
        removals: Vec::new(),
        reports: [(APP.into(), app), (WEB.into(), web)].into(),
    };
    assert_eq!(known, expected);
}

#[test]
fn a_node_that_has_only_just_come_is_known_by_its_labels_and_was_told_nothing() {
    let mut fresh = machine();
    fresh["metadata"]["labels"]["kubernetes.io/os"] = json!("linux");
    fresh["status"] = json!({});
    let known = read(fresh, None);
    assert_eq!(known.platform.as_str(), "linux/arm64");
    assert!(!known.ready && known.disk.is_none());
    assert!(known.holds.is_empty() && known.reports.is_empty());
}

#[test]
fn a_node_that_is_no_machine_is_virtual() {
    for (key, value) in [("type", "virtual-kubelet"), ("eks.amazonaws.com/compute-type", "fargate")]
    {
        let mut machine = machine();
        machine["metadata"]["labels"][key] = json!(value);
        assert!(read(machine, None).virtual_node, "{key}");
    }
    let mut tainted = machine();
    tainted["spec"]["taints"][0]["key"] = json!("virtual-kubelet.io/provider");
    assert!(read(tainted, None).virtual_node);
}

#[test]
fn a_node_that_is_cordoned_or_about_to_go_is_not_schedulable() {
    let mut cordoned = machine();
    cordoned["spec"]["unschedulable"] = json!(true);
    let mut going = machine();
    going["spec"]["taints"][0]["key"] = json!("karpenter.sh/disrupted");
    let mut leaving = machine();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-24T12:00:00Z");
    for machine in [cordoned, going, leaving] {
        assert!(!read(machine, None).schedulable);
    }
}

#[test]
fn a_failure_without_words_gets_some() {
    let mut object = told();
    object.status.as_mut().unwrap().images[0].message = None;
    let known = read(machine(), Some(&object));
    let trouble = known.reports[&APP.into()].trouble.clone().unwrap();
    assert_eq!(trouble.to_string(), "the node's disk is full");
}
