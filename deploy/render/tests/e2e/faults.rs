//! Agents that cannot work are no worse than none.

use std::time::Duration;

use onepull_testbed::deadline::eventually;

use crate::{
    cluster::{Cluster, LIMIT},
    pods::Start,
    readme::commands,
    report::Report,
};

/// What is wrong, and the values that make it so. The kubelet has the second one's port; the third one's folder is not there.
const FAULTS: [(&str, &str); 3] = [
    (
        "its program is not in the image",
        "image.repository=registry.example/team/wrong,image.tag=v1",
    ),
    ("its port is taken", "agent.ports.mirror=10250"),
    ("its socket is elsewhere", "containerd.socket=/run/elsewhere/containerd.sock"),
];

/// Links set how long a pull takes, so it differs little; half more is a pull that waited for somebody.
const SLOWER: f64 = 1.5;

#[tokio::test]
async fn pods_pull_as_before_beside_agents_that_cannot_work() {
    let name = "pods_pull_as_before_beside_agents_that_cannot_work";
    let Some(cluster) = Cluster::for_test(name).await else { return };
    let mut report = Report::new("faults");
    // Small, or its own pulls would be in the way of those that are measured.
    cluster.push_of(4096, "team/wrong", "v1", 10).await;
    let alone = pull(&cluster, "alone", 11).await;
    report.pod("without onepull", &alone);

    let [build, install, ..] = &commands("Quick start")[..] else { panic!() };
    cluster.workstation.types(build).await;
    cluster.workstation.types(install).await;
    let beside = pull(&cluster, "beside", 12).await;
    report.pod("beside onepull, which has nothing of it", &beside);
    for ((what, values), index) in FAULTS.into_iter().zip(20..) {
        break_agents(&cluster, values).await;
        let start = pull(&cluster, &format!("fault-{index}"), index).await;
        report.pod(&format!("beside an agent: {what}"), &start);
        assert!(!failed(&start), "{what}: {}", start.messages);
        let (was, is) = (alone.took.as_secs_f64(), start.took.as_secs_f64());
        assert!(is <= was * SLOWER, "{what}: {is} s instead of {was} s");
        mend_agents(&cluster).await;
    }
    report.done();
}

/// A pod of an image that no node has.
async fn pull(cluster: &Cluster, pod: &str, seed: u64) -> Start {
    cluster.push(&format!("team/{pod}"), "v1", seed).await;
    let start = cluster.pod(pod, &format!("registry.example/team/{pod}:v1"), "node-1").await;
    assert!(start.pulled(), "{}", start.messages);
    start
}

pub(crate) fn failed(start: &Start) -> bool {
    start.events.iter().any(|reason| reason == "Failed" || reason == "BackOff")
}

/// Upgrades to values by which no agent works, and waits until that of the first node does not.
async fn break_agents(cluster: &Cluster, values: &str) {
    let upgrade = format!(
        "helm upgrade onepull deploy/chart --namespace onepull-system --reuse-values \
         --set {values} --set agent.maxUnavailable=100%"
    );
    cluster.workstation.types(&upgrade).await;
    let broken = async || (ready_agents(cluster).await == "0").then_some(());
    eventually("the agents broke", LIMIT, broken).await.unwrap();
    // What the last good one was still sending has ended.
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn mend_agents(cluster: &Cluster) {
    let back = "helm rollback onepull 1 --namespace onepull-system && \
                kubectl --namespace onepull-system rollout status daemonset/onepull-agent --timeout=4m";
    cluster.workstation.types(back).await;
}

/// Of those that are to be there, how many are.
async fn ready_agents(cluster: &Cluster) -> String {
    let ready = "jsonpath={.status.numberReady}";
    let of =
        ["--namespace", "onepull-system", "get", "daemonset", "onepull-agent", "--output", ready];
    cluster.kubectl(&of).await
}
