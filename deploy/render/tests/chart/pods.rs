//! What pods have of their node.

use serde_json::{Value, json};

use crate::manifests::{both, each, no_helm, pods, rendered, the};

fn agent(objects: &[Value]) -> &Value {
    &the(objects, "DaemonSet", "onepull-agent")["spec"]["template"]["spec"]
}

#[test]
fn no_container_can_gain_rights_or_write_to_its_image() {
    if no_helm("no_container_can_gain_rights_or_write_to_its_image") {
        return;
    }
    for objects in both() {
        let pods = pods(&objects);
        let names: Vec<_> = pods.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["onepull-agent", "onepull-controller", "onepull-uninstall"]);
        for (name, pod) in pods {
            assert_eq!(
                pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault",
                "{name}"
            );
            for field in ["hostPID", "hostIPC", "initContainers"] {
                assert!(pod[field].is_null(), "{name}: {field}");
            }
            let [container] = &pod["containers"].as_array().unwrap()[..] else { panic!("{name}") };
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
            assert!(security["privileged"].is_null(), "{name}");
            assert!(container["resources"]["requests"]["cpu"].is_string(), "{name}");
        }
    }
}

#[test]
fn the_controller_and_the_hook_are_nobody_and_have_nothing_of_their_node() {
    if no_helm("the_controller_and_the_hook_are_nobody_and_have_nothing_of_their_node") {
        return;
    }
    for objects in both() {
        for (name, pod) in pods(&objects).into_iter().filter(|(name, _)| *name != "onepull-agent") {
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(pod["securityContext"]["runAsUser"], 65532, "{name}");
            assert!(pod["hostNetwork"].is_null(), "{name}");
            let foreign = each(&pod["volumes"]).filter(|volume| volume["configMap"].is_null());
            assert_eq!(foreign.count(), 0, "{name}");
            assert!(pod["containers"][0]["securityContext"]["capabilities"]["add"].is_null());
        }
    }
}

#[test]
fn the_agent_has_no_capability_and_of_the_node_only_what_it_needs() {
    if no_helm("the_agent_has_no_capability_and_of_the_node_only_what_it_needs") {
        return;
    }
    let objects = rendered(&[]);
    let pod = agent(&objects);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(pod["hostNetwork"], true);
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(
        host_paths(pod),
        [
            ("/run/containerd", "read"),
            ("/var/lib/containerd/io.containerd.content.v1.content", "read"),
            ("/etc/containerd/certs.d", "write"),
            ("/var/lib/onepull", "write"),
        ]
    );
    let token = each(&pod["volumes"]).find(|volume| volume["name"] == "controller-token").unwrap();
    let token = &token["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token["audience"], onepull_api::logins::AUDIENCE);
}

#[test]
fn the_kubelets_plugins_are_mounted_only_where_they_are_named_and_only_to_be_read() {
    if no_helm("the_kubelets_plugins_are_mounted_only_where_they_are_named_and_only_to_be_read") {
        return;
    }
    let [_, objects] = both();
    let paths = host_paths(agent(&objects));
    let config = "/etc/kubernetes/credential-providers.yaml";
    assert_eq!(paths[4..], [(config, "read"), ("/usr/local/bin/credential-providers", "read")]);
}

#[test]
fn an_upgrade_replaces_agents_by_a_share_of_the_nodes() {
    if no_helm("an_upgrade_replaces_agents_by_a_share_of_the_nodes") {
        return;
    }
    let objects = rendered(&[]);
    let update = &the(&objects, "DaemonSet", "onepull-agent")["spec"]["updateStrategy"];
    let expected = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}});
    assert_eq!(*update, expected);
}

#[test]
fn only_an_uninstall_runs_the_hook() {
    if no_helm("only_an_uninstall_runs_the_hook") {
        return;
    }
    let hooks = rendered(&[]).into_iter().filter_map(|object| {
        let annotations = &object["metadata"]["annotations"];
        Some((object["kind"].clone(), annotations["helm.sh/hook"].as_str()?.to_owned()))
    });
    let hooks: Vec<_> = hooks.collect();
    assert!(hooks.iter().all(|(_, when)| when == "pre-delete"), "{hooks:?}");
    assert_eq!(hooks.iter().filter(|(kind, _)| kind == "Job").count(), 1);
}

/// The folders and files of the node that the pod's container sees, and what it can do there.
fn host_paths(pod: &Value) -> Vec<(&str, &str)> {
    let mounts = &pod["containers"][0]["volumeMounts"];
    let of_host = each(&pod["volumes"]).filter(|volume| volume["hostPath"].is_object());
    of_host
        .map(|volume| {
            let mount = each(mounts).find(|mount| mount["name"] == volume["name"]).unwrap();
            assert_eq!(mount["mountPath"], volume["hostPath"]["path"]);
            let may = if mount["readOnly"] == true { "read" } else { "write" };
            (mount["mountPath"].as_str().unwrap(), may)
        })
        .collect()
}

#[test]
fn containerd_is_reached_also_after_it_has_started_again() {
    if no_helm("containerd_is_reached_also_after_it_has_started_again") {
        return;
    }
    for (objects, propagation) in both().iter().zip(["HostToContainer", "None"]) {
        let mut mounts = each(&agent(objects)["containers"][0]["volumeMounts"]);
        let socket = mounts.find(|mount| mount["name"] == "containerd-socket").unwrap();
        // A folder, not the socket.
        assert!(socket["mountPath"].as_str().unwrap().ends_with("/containerd"));
        assert_eq!(socket["mountPropagation"], propagation);
    }
}
