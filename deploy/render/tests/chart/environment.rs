//! What pods are told by their environment, the programs understand.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory, Parser};
use onepull_controller::uninstall::{ARGUMENTS, CONTAINER, DAEMON_SET, PODS};
use serde_json::Value;

use crate::manifests::{both, each, no_helm, pods, the};

/// The agent's log is set by a variable that is no flag.
const NO_FLAG: &str = "ONEPULL_LOG";

/// The variables that a subcommand of a program reads.
fn known(program: &Command, subcommand: &str) -> BTreeSet<String> {
    let subcommand = program.find_subcommand(subcommand).unwrap();
    let flags = program.get_arguments().chain(subcommand.get_arguments());
    flags.filter_map(|flag| Some(flag.get_env()?.to_string_lossy().into_owned())).collect()
}

fn set(container: &Value) -> BTreeSet<String> {
    let names = each(&container["env"]).map(|one| one["name"].as_str().unwrap());
    names.filter(|name| name.starts_with("ONEPULL_")).map(str::to_owned).collect()
}

#[test]
fn every_variable_of_a_pod_is_one_that_its_program_reads() {
    if no_helm("every_variable_of_a_pod_is_one_that_its_program_reads") {
        return;
    }
    for objects in both() {
        for (name, pod) in pods(&objects) {
            let container = &pod["containers"][0];
            let program = container["command"][0].as_str().unwrap();
            let command = match program {
                "/usr/bin/onepull-agent" => onepull_agent::cli::Cli::command(),
                "/usr/bin/onepull-controller" => onepull_controller::cli::Cli::command(),
                other => panic!("{name}: {other}"),
            };
            let mut known = known(&command, container["args"][0].as_str().unwrap());
            known.insert(NO_FLAG.to_owned());
            let unknown: Vec<_> = set(container).difference(&known).cloned().collect();
            assert_eq!(unknown, [""; 0], "{name}: {program} does not read them");
        }
    }
}

#[test]
fn the_hook_finds_the_agents_and_tells_them_what_they_understand() {
    if no_helm("the_hook_finds_the_agents_and_tells_them_what_they_understand") {
        return;
    }
    for objects in both() {
        let template = &the(&objects, "DaemonSet", DAEMON_SET)["spec"]["template"];
        assert_eq!(template["spec"]["containers"][0]["name"], CONTAINER);
        for label in PODS.split(',') {
            let (key, value) = label.split_once('=').unwrap();
            assert_eq!(template["metadata"]["labels"][key], value);
        }
        let words = ["onepull-agent"].into_iter().chain(ARGUMENTS);
        onepull_agent::cli::Cli::try_parse_from(words).unwrap();
    }
}

#[test]
fn the_services_have_the_names_by_which_agents_look_for_them() {
    if no_helm("the_services_have_the_names_by_which_agents_look_for_them") {
        return;
    }
    for objects in both() {
        let agent = &the(&objects, "DaemonSet", "onepull-agent")["spec"]["template"]["spec"];
        let bootstrap = each(&agent["containers"][0]["env"])
            .find(|one| one["name"] == "ONEPULL_BOOTSTRAP_SERVICE")
            .unwrap();
        let peers = the(&objects, "Service", bootstrap["value"].as_str().unwrap());
        assert_eq!(peers["spec"]["publishNotReadyAddresses"], true);
        assert_eq!(peers["spec"]["ports"][0]["name"], "p2p");
        let controllers = the(&objects, "Service", onepull_api::logins::SERVICE);
        assert_eq!(controllers["spec"]["ports"][0]["name"], onepull_api::logins::PORT);
        the(&objects, "ServiceAccount", onepull_api::logins::AGENT_ACCOUNT);
    }
}
