//! The program as a person runs it: exit status, files, and what it prints.

#![allow(clippy::panic, clippy::unwrap_used, reason = "test code: a panic is the report")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use onepull_loadtest::{
    cluster::ClusterReport,
    hop::Hop,
    memory::Memory,
    overhead::Overhead,
    report::{REGISTRY, Report},
};
use onepull_testbed::{Requirement, layout::debian_layout, skip, skip_without};

fn loadtest(arguments: &str, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onepull-loadtest"));
    command.args(arguments.split_whitespace()).arg("--out").arg(out);
    command.output().unwrap()
}

fn read<T: serde::de::DeserializeOwned>(path: PathBuf) -> T {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What runs with real containerds need, or whether the test has to be skipped.
fn skips_containerd(test: &str, containerd: Requirement) -> bool {
    let lab = [Requirement::Root, Requirement::Iproute, Requirement::Registry, containerd];
    skip(test, &lab) || lacks_program(test, "onepull-agent")
}

/// The same for a whole cluster.
fn skips_kubernetes(test: &str) -> bool {
    skips_containerd(test, Requirement::Containerd22)
        || skip(test, &[Requirement::Kubernetes])
        || lacks_program(test, "onepull-controller")
}

/// Another crate's program is not built for this one's tests.
fn lacks_program(test: &str, name: &str) -> bool {
    skip_without(test, &Path::new(env!("CARGO_BIN_EXE_onepull-loadtest")).with_file_name(name))
}

#[test]
fn a_run_prints_its_table_and_leaves_a_report_for_people_and_one_for_machines() {
    let out = tempfile::tempdir().unwrap();
    let flags = "run --arm direct,onepull --nodes 3 --image-size 1MiB --layers 2 --nic 1Gbit";
    let output = loadtest(flags, out.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let shown =
        |arm, multiple| table.lines().any(|line| line.starts_with(arm) && line.contains(multiple));
    assert!(shown("direct", "3.00x") && shown("onepull", "1.00x"), "{table}");
    let report: Report = read(out.path().join("report.json"));
    assert!(report.command.contains("--arm direct,onepull"), "{}", report.command);
    assert!(out.path().join("report.html").is_file());
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn a_number_out_of_range_is_a_usage_error() {
    let out = tempfile::tempdir().unwrap();
    let output = loadtest("run --nodes 0", out.path());
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: --nodes must be from 1 to 250, not 0\n"), "{said}");
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let out = tempfile::tempdir().unwrap();
    let output = loadtest("run --image /no/such/layout", out.path());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/no/such/layout"), "{said}");
}

#[test]
fn real_containerds_share_one_pull() {
    for (version, containerd) in
        [("2.2", Requirement::Containerd22), ("1.6", Requirement::Containerd16)]
    {
        if !skips_containerd("real_containerds_share_one_pull", containerd) {
            eight_nodes_share_one_pull(&format!("--containerd {version} --image-size 32MiB"));
        }
    }
}

#[test]
fn real_containerds_share_a_real_image() {
    let test = "real_containerds_share_a_real_image";
    if skips_containerd(test, Requirement::Containerd22) || skip(test, &[Requirement::ImageTools]) {
        return;
    }
    let image = debian_layout().unwrap();
    eight_nodes_share_one_pull(&format!("--nic 1Gbit --image {}", image.path().display()));
}

/// The first node gets the image from the registry, the others from nodes, every byte once.
fn eight_nodes_share_one_pull(flags: &str) {
    let out = tempfile::tempdir().unwrap();
    let flags = format!("run --store containerd --arm onepull --pattern staged --nodes 8 {flags}");
    let output = loadtest(&flags, out.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = read(out.path().join("report.json"));
    let [run] = report.runs.as_slice() else { panic!("one run") };
    let image = report.setup.image_bytes.bytes();
    assert!(run.egress_bytes >= image, "{} of {image} bytes", run.egress_bytes);
    assert!(run.egress_bytes * 100 <= image * 101, "{} of {image} bytes", run.egress_bytes);
    assert_eq!(run.nodes.len(), 8);
    for (node, from_registry) in run.nodes.iter().zip([image, 0, 0, 0, 0, 0, 0, 0]) {
        let mut flows = run.flows.iter().filter(|flow| flow.to == node.name);
        let sum = |registry: bool| {
            let flows = flows.clone().filter(|flow| (flow.from == REGISTRY) == registry);
            flows.map(|flow| flow.bytes).sum::<u64>()
        };
        let (registry, peers) = (sum(true), sum(false));
        assert_eq!((registry, registry + peers), (from_registry, image), "{:?}", flows.next());
    }
}

#[test]
fn real_containerds_hold_what_they_were_told_to_and_the_registry_sends_it_once() {
    let test = "real_containerds_hold_what_they_were_told_to_and_the_registry_sends_it_once";
    if skips_containerd(test, Requirement::Containerd22) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let flags = "run --store containerd --arm direct,onepull --pattern planned --nodes 3 \
                 --image-size 16MiB --layers 2 --nic 1Gbit";
    let output = loadtest(flags, out.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = read(out.path().join("report.json"));
    let image = report.setup.image_bytes.bytes();
    let [direct, onepull] = report.runs.as_slice() else { panic!("two runs") };
    assert!(direct.egress_bytes >= 3 * image, "{} of {image} bytes", direct.egress_bytes);
    let egress = onepull.egress_bytes;
    assert!(egress >= image && egress * 100 <= image * 105, "{egress} of {image} bytes");
    assert_eq!(onepull.moves, []);
    for (node, from_registry) in onepull.nodes.iter().zip([image, 0, 0]) {
        let flows = onepull.flows.iter().filter(|flow| flow.to == node.name);
        let registry = flows.filter(|flow| flow.from == REGISTRY).map(|flow| flow.bytes);
        assert_eq!((registry.sum::<u64>(), node.started_seconds), (from_registry, 0.0));
    }
}

#[test]
fn a_follower_that_dies_in_a_storm_costs_nobody_a_pull() {
    let test = "a_follower_that_dies_in_a_storm_costs_nobody_a_pull";
    if skips_containerd(test, Requirement::Containerd22) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let flags = "run --store containerd --pattern storm --nodes 3 --image-size 32MiB --layers 2 \
                 --nic 100Mbit --faults kill-follower";
    let output = loadtest(flags, out.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().any(|line| line.starts_with("kill-follower")), "{table}");
    let report: Report = read(out.path().join("report.json"));
    let [run] = report.faults.as_slice() else { panic!("one fault") };
    assert_eq!(run.verdict.lost, [""; 0]);
    assert_eq!(run.pulls.iter().map(|pull| pull.attempts).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(run.hurt_pull().map(|pull| &pull.node), run.victim.as_ref());
    assert!((0.0..1.0).contains(&run.unfinished_share), "{}", run.unfinished_share);
}

#[test]
fn spegel_without_its_program_is_a_usage_error() {
    let out = tempfile::tempdir().unwrap();
    let output = loadtest("run --store containerd --arm spegel", out.path());
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: --arm spegel needs --spegel-bin PATH"), "{said}");
}

#[test]
fn the_cost_of_the_agent_is_measured_in_pairs() {
    if skips_containerd("the_cost_of_the_agent_is_measured_in_pairs", Requirement::Containerd22) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let output = loadtest("overhead --nodes 3 --misses 10 --pairs 2 --layers 3", out.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let overhead: Overhead = read(out.path().join("overhead.json"));
    let misses = overhead.misses;
    assert_eq!((misses.nodes, misses.requests), (3, 30));
    assert!(
        0.0 < misses.p50 && misses.p50 <= misses.p99 && misses.p99 <= misses.worst,
        "{misses:?}"
    );
    assert_eq!(overhead.pairs.len(), 2);
    // Manifest, configuration and three layers, each asked of the mirror once.
    assert!(overhead.pairs.iter().all(|pair| pair.requests == 5.0), "{:?}", overhead.pairs);
}

#[test]
fn one_hop_is_measured_beside_nginx_and_hashing() {
    if skip("one_hop_is_measured_beside_nginx_and_hashing", &[Requirement::Nginx]) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let output = loadtest("hop --size 32MiB --repeat 1", out.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let hop: Hop = read(out.path().join("hop.json"));
    for cost in [hop.onepull, hop.onepull_tls, hop.nginx, hop.sha256] {
        assert!(cost.gb_per_second > 0.01, "{cost:?}");
    }
}

#[test]
fn the_memory_of_an_agent_is_measured_while_it_serves_four_streams() {
    let test = "the_memory_of_an_agent_is_measured_while_it_serves_four_streams";
    if skips_containerd(test, Requirement::Containerd22) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let output = loadtest("memory --layer-size 8MiB --seconds 2", out.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let memory: Memory = read(out.path().join("memory.json"));
    assert!(memory.streams.iter().all(|stream| stream.bytes.bytes() > 0), "{:?}", memory.streams);
    assert_eq!(memory.streams.len(), 4);
    assert!(0 < memory.idle.bytes() && memory.idle <= memory.serving_peak, "{memory:?}");
}

#[test]
fn a_kube_fledged_file_warms_the_nodes_that_it_selects_and_no_other_by_one_pull_of_each_image() {
    let test = "a_kube_fledged_file_warms_the_nodes_that_it_selects_and_no_other_by_one_pull_of_each_image";
    if skips_kubernetes(test) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let flags = "kube --nodes 4 --image-size 8MiB --layers 2 --nic 1Gbit";
    let output = loadtest(flags, out.path());
    let table = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{table}");
    let report: ClusterReport = read(out.path().join("kube.json"));
    assert!(report.criteria.iter().all(|criterion| criterion.met), "{:?}", report.criteria);
    let ratio = report.egress_bytes * 100 / report.unique_bytes;
    assert!((100..=102).contains(&ratio), "{} of {}", report.egress_bytes, report.unique_bytes);
    assert!(report.ready_seconds.is_some() && table.contains("UPSTREAM"), "{table}");
    let lists: Vec<_> = report.nodes.iter().map(|node| (&node.lists[..], node.wanted)).collect();
    assert_eq!(lists, [(&[1][..], 1), (&[1, 2], 3), (&[2], 2), (&[], 0)]);
    let [.., untouched] = report.nodes.as_slice() else { panic!("four nodes") };
    assert_eq!((untouched.held_bytes, untouched.counted_bytes), (0, 0));
    assert!(report.nodes.iter().all(|node| node.lacks.is_empty() && node.extra.is_empty()));
    assert_eq!(report.nodes.iter().map(|node| node.seeds).sum::<usize>(), 3, "one for each image");
    let applied = std::fs::read_to_string(out.path().join("imagecache.yaml")).unwrap();
    assert!(applied.starts_with("apiVersion: onepull.dev/v1alpha1\nkind: ImageCache\n"));
}

#[test]
fn a_private_registry_is_asked_with_a_login_by_seeds_alone() {
    if skips_kubernetes("a_private_registry_is_asked_with_a_login_by_seeds_alone") {
        return;
    }
    for private in ["secret", "plugin"] {
        let out = tempfile::tempdir().unwrap();
        let flags = format!("kube --nodes 4 --image-size 4MiB --nic 1Gbit --private {private}");
        let output = loadtest(&flags, out.path());
        let said = String::from_utf8_lossy(&output.stderr);
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{private}: {said}\n{table}");
        let report: ClusterReport = read(out.path().join("kube.json"));
        assert_eq!(report.let_in.len(), 3);
        for image in &report.let_in {
            let let_in = report.nodes.iter().filter(|node| image.nodes.contains(&node.name));
            let seeds = let_in.filter(|node| node.seeds > 0 && node.bytes_from_upstream > 0);
            assert!(seeds.count() > 0, "{image:?}");
            // Without a secret one node asks what the tags stand for.
            let most = if private == "secret" { 1 } else { 2 };
            assert!(image.nodes.len() <= most, "{image:?}");
        }
    }
}
