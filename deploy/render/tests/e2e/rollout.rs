//! README's quick start, and then a day without the registry.

use onepull_testbed::{Layout, deadline::eventually};

use crate::{
    cluster::{Cluster, LIMIT},
    pods::Start,
    readme::commands,
    report::Report,
    token,
};

/// What README's cache declares.
const APP: &str = "registry.example/team/app:v1";

/// The most that the registry may send for it: every byte once, and what protocols add.
const EGRESS: std::ops::RangeInclusive<f64> = 1.0..=1.02;

#[tokio::test]
async fn declared_images_are_there_before_their_pods_also_when_the_registry_is_gone() {
    let name = "declared_images_are_there_before_their_pods_also_when_the_registry_is_gone";
    let Some(mut cluster) = Cluster::for_test(name).await else { return };
    let mut report = Report::new("rollout");
    let other = cluster.push("team/other", "v1", 1).await;
    let cold = cluster.pod("cold", "registry.example/team/other:v1", "node-1").await;
    assert!(cold.pulled() && !cold.found_it_present(), "{}", cold.messages);
    report.pod("without onepull", &cold);

    let [build, install, declare, start] = &commands("Quick start")[..] else { panic!() };
    cluster.workstation.types(build).await;
    cluster.workstation.types(install).await;
    let app = cluster.push("team/app", "v1", 2).await;
    let before = cluster.sent();
    let shown = cluster.workstation.types(declare).await;
    let egress = ratio(cluster.sent() - before, lacking(&app, &other));
    report.line(&format!("The registry sent {egress:.4} x what no node had."));
    assert!(EGRESS.contains(&egress), "{egress}");
    assert_eq!(cluster.holders(APP).await, ["node-1", "node-2", "node-3"]);
    assert!(shown.contains("Ready"), "{shown}");
    // Its exit status says that all pods of it can start now.
    cluster.workstation.types("kubectl onepull preflight models").await;
    all_preflights_report_no_problem(&cluster).await;
    token::opens_nothing_but_its_own_node(&cluster).await;

    let said = cluster.workstation.types(start).await;
    assert!(said.contains("already present on machine"), "{said}");
    assert!(!said.contains("Pulling"), "{said}");
    for node in ["node-1", "node-2", "node-3"] {
        let warm = started_without_a_pull(&cluster, &format!("warm-{node}"), node).await;
        report.pod(&format!("with onepull, {node}"), &warm);
    }

    cluster.registry.kill();
    for node in ["node-1", "node-2", "node-3"] {
        let start = started_without_a_pull(&cluster, &format!("alone-{node}"), node).await;
        report.pod(&format!("without a registry, {node}"), &start);
    }
    cluster.add_node_with_onepull("node-4").await;
    let warm = async || {
        let holders = cluster.holders(APP).await;
        holders.contains(&"node-4").then_some(())
    };
    eventually("a node without a registry became warm", LIMIT, warm).await.unwrap();
    let late = started_without_a_pull(&cluster, "late", "node-4").await;
    report.pod("without a registry, on a node that came later", &late);
    report.done();
}

/// Agents look at their nodes up to a minute after they start. Until then a check passes that says so.
async fn all_preflights_report_no_problem(cluster: &Cluster) {
    let reported = async || {
        let said = cluster.workstation.types("kubectl onepull check").await;
        (without_a_problem(&said) == 3).then_some(())
    };
    eventually("all agents reported their preflights", LIMIT, reported).await.unwrap();
}

/// On how many nodes a check has seen a preflight without a problem.
fn without_a_problem(said: &str) -> u32 {
    let line = said.lines().find_map(|line| line.strip_prefix("preflights ")).unwrap();
    let nodes = |part: &str| match part.trim().split_once(' ') {
        Some((nodes, "well" | "with warnings")) => nodes.parse::<u32>().unwrap(),
        _ => 0,
    };
    line.split(',').map(nodes).sum()
}

/// The bytes of an image that who has another one lacks.
fn lacking(image: &Layout, other: &Layout) -> u64 {
    let had = other.blobs();
    image.blobs().iter().filter(|blob| !had.contains(blob)).map(|blob| blob.size).sum()
}

#[allow(clippy::cast_precision_loss, reason = "of megabytes")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

async fn started_without_a_pull(cluster: &Cluster, pod: &str, node: &str) -> Start {
    let start = cluster.pod(pod, APP, node).await;
    assert!(!start.pulled() && start.found_it_present(), "{pod}: {}", start.messages);
    start
}
