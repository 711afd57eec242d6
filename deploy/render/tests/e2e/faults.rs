//! Agents that cannot work are no worse than none.

use std::{fs, time::Duration};

use onepull_testbed::{deadline::eventually, kube::HOSTS_DIR};

use crate::{
    cluster::{Cluster, LIMIT, REGISTRY},
    pods::Start,
    readme::commands,
    report::Report,
};

/// What is wrong, and the values that make it so. The kubelet has the second one's port; the third one's folder is not there.
const FAULTS: [(&str, &str); 4] = [
    (
        "its program is not in the image",
        "image.repository=registry.example/team/wrong,image.tag=v1",
    ),
    ("its port is taken", "agent.ports.mirror=10250"),
    ("its socket is elsewhere", "containerd.socket=/run/elsewhere/containerd.sock"),
    (
        "it ends at once",
        "agent.extraEnv[0].name=ONEPULL_UPLOAD_RATE,agent.extraEnv[0].value=nonsense",
    ),
];

/// Where agents listen unless they are told otherwise, and where they point containerd.
const MIRROR: &str = "127.0.0.1:29900";

/// Links set how long a pull takes, so it differs little; half more is a pull that waited for somebody.
const SLOWER: f64 = 1.5;

#[tokio::test]
async fn pods_pull_as_before_beside_agents_that_cannot_work() {
    let name = "pods_pull_as_before_beside_agents_that_cannot_work";
    let Some(cluster) = Cluster::for_test(name).await else { return };
    let mut report = Report::new("faults");
    // Small, or its own pulls would be in the way of those that are measured.
    cluster.push_of(4096, "team/wrong", "v1", 10).await;
    let alone = pull(&cluster, "alone").await;
    report.pod("without onepull", &alone);
    let as_before = |what: &str, start: &Start| {
        let (was, is) = (alone.took.as_secs_f64(), start.took.as_secs_f64());
        assert!(is <= was * SLOWER, "{what}: {is} s instead of {was} s");
    };

    let [build, install, ..] = &commands("Quick start")[..] else { panic!() };
    cluster.workstation.types(build).await;
    cluster.workstation.types(install).await;
    let beside = pull(&cluster, "beside").await;
    report.pod("beside onepull, where no node has it", &beside);
    as_before("beside onepull", &beside);
    for ((what, values), index) in FAULTS.into_iter().zip(0..) {
        break_agents(&cluster, values).await;
        assert_pointed_at_a_mirror(&cluster, what);
        let start = pull(&cluster, &format!("fault-{index}")).await;
        report.pod(&format!("beside an agent: {what}"), &start);
        as_before(what, &start);
        mend_agents(&cluster).await;
    }
    report.done();
}

/// The faster of two pods of images that no node has: what else happens on the machine slows one, not both.
async fn pull(cluster: &Cluster, name: &str) -> Start {
    let mut faster: Option<Start> = None;
    for turn in ["first", "second"] {
        let pod = format!("{name}-{turn}");
        cluster.push(&format!("team/{pod}"), "v1", seed(&pod)).await;
        let start = cluster.pod(&pod, &format!("registry.example/team/{pod}:v1"), "node-1").await;
        assert!(start.pulled() && !failed(&start), "{}", start.messages);
        if faster.as_ref().is_none_or(|other| start.took < other.took) {
            faster = Some(start);
        }
    }
    faster.unwrap()
}

/// Of the image of a pod.
fn seed(pod: &str) -> u64 {
    pod.bytes().fold(100, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte))
}

pub(crate) fn failed(start: &Start) -> bool {
    start.events.iter().any(|reason| reason == "Failed" || reason == "BackOff")
}

/// On the first node; the agent that wrote it there is gone.
fn assert_pointed_at_a_mirror(cluster: &Cluster, what: &str) {
    let file = cluster.nodes[0].machine().see(HOSTS_DIR).join(REGISTRY).join("hosts.toml");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(&format!("http://{MIRROR}")), "{what}: {text}");
}

/// Whether nobody listens where containerd of the first node asks.
fn mirror_is_dead(cluster: &Cluster) -> bool {
    let knock = format!("exec 3<>/dev/tcp/{}", MIRROR.replace(':', "/"));
    cluster.nodes[0].machine().run("bash", &["-c", &knock]).is_err()
}

/// Upgrades to values by which no agent works, and waits until that of the first node does not.
async fn break_agents(cluster: &Cluster, values: &str) {
    let upgrade = format!(
        "helm upgrade onepull deploy/chart --namespace onepull-system --reuse-values \
         --set '{values}' --set agent.maxUnavailable=100%"
    );
    cluster.workstation.types(&upgrade).await;
    let broken = async || {
        let dead = ready_agents(cluster).await == "0" && mirror_is_dead(cluster);
        dead.then_some(())
    };
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
