//! Upgrades in the middle of pulls, and an end without a trace.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use onepull_testbed::{
    Shape,
    deadline::eventually,
    kube::{HOSTS_DIR, Node},
    process::run,
    tools::containerd_2_folder,
};

use crate::{
    cluster::{Cluster, LIMIT},
    faults::failed,
    pods::now,
    readme::commands,
    report::Report,
    rollout::ratio,
};

/// So slow that agents are replaced within a pull of 64 MiB, which takes 34 s: an agent drains for 20 s at most. The last ones
/// may come later, as their own image waits for one of containerd's download slots, like any other.
const SLOW: u64 = 16_000_000;

/// An agent looks for the others as soon as it starts, so on links that are full this takes seconds. Who is found
/// minutes later only was missing.
const REUNION: Duration = Duration::from_secs(30);

/// The registry has the new version before its link is slow.
const RELEASE: &str =
    "skopeo copy docker://registry.example/onepull:0.1.0 docker://registry.example/onepull:0.1.1";

const UPGRADE: &str = "
helm upgrade onepull deploy/chart --namespace onepull-system --reuse-values --set image.tag=0.1.1
kubectl --namespace onepull-system rollout status daemonset/onepull-agent --timeout=4m
";

const UNINSTALL: &str = "helm uninstall onepull --namespace onepull-system --wait";

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

#[tokio::test]
async fn an_upgrade_fails_no_pull_and_an_uninstall_leaves_nothing_behind() {
    let name = "an_upgrade_fails_no_pull_and_an_uninstall_leaves_nothing_behind";
    let Some(cluster) = Cluster::for_test(name).await else { return };
    let before: Vec<_> = cluster.nodes.iter().map(hosts_files).collect();
    let [build, install, declare, ..] = &commands("Quick start")[..] else { panic!() };
    cluster.workstation.types(build).await;
    cluster.workstation.types(install).await;
    cluster.push("team/app", "v1", 29).await;
    cluster.workstation.types(declare).await;
    for node in &cluster.nodes {
        let leased = left_on(node).iter().any(|what| what.contains("onepull.dev/keeps-image"));
        assert!(leased, "no lease keeps the image on {}", node.name());
        assert!(!agents(node).is_empty(), "no agent is seen on {}", node.name());
    }
    let during: Vec<_> = cluster.nodes.iter().map(hosts_files).collect();
    assert_ne!(before, during, "the agents have changed no hosts.toml file");

    let mut report = Report::new("leaving");
    upgrade_during_pulls(&cluster, &mut report).await;
    assert_eq!(during, cluster.nodes.iter().map(hosts_files).collect::<Vec<_>>());

    cluster.workstation.types(UNINSTALL).await;
    assert_eq!(before, cluster.nodes.iter().map(hosts_files).collect::<Vec<_>>());
    for node in &cluster.nodes {
        assert_eq!(left_on(node), [""; 0], "{}", node.name());
        let ended = async || agents(node).is_empty().then_some(());
        eventually(&format!("the agent of {} ended", node.name()), LIMIT, ended).await.unwrap();
    }
    let crds = cluster.kubectl(&["get", "crds", "--output", "name"]).await;
    assert_eq!(crds.matches("onepull.dev").count(), 2, "{crds}");
    cluster.push("team/after", "v1", 40).await;
    let after = cluster.pod("after", "registry.example/team/after:v1", "node-1").await;
    assert!(after.pulled() && !failed(&after), "{}", after.messages);
    report.pod("after it was uninstalled", &after);
    report.done();
}

/// All nodes pull what none has; meanwhile every agent is replaced.
async fn upgrade_during_pulls(cluster: &Cluster, report: &mut Report) {
    cluster.workstation.types(RELEASE).await;
    for host in cluster.nodes.iter().map(Node::host).chain([cluster.store()]) {
        host.reshape(Shape::both(SLOW)).unwrap();
    }
    let image = cluster.push("team/storm", "v1", 30).await;
    let (sent, since) = (cluster.sent(), now());
    for node in NODES {
        cluster.create_pod(&format!("storm-{node}"), "registry.example/team/storm:v1", node).await;
    }
    let upgrade = async {
        cluster.workstation.types(UPGRADE).await;
        let (replaced, ready) = (since.elapsed(), now());
        let found = async || (peers(cluster) == [2, 2, 2]).then_some(());
        eventually("all agents found each other again", REUNION, found).await.unwrap();
        (replaced.as_secs_f64(), ready.elapsed().as_secs_f64())
    };
    let started = async |node: &str| cluster.started(&format!("storm-{node}"), since).await;
    let [one, two, three] = NODES;
    let ((replaced, found), one, two, three) =
        tokio::join!(upgrade, started(one), started(two), started(three));
    let mut midway = 0;
    for (node, start) in NODES.into_iter().zip([one, two, three]) {
        assert!(start.pulled() && !failed(&start), "{}", start.messages);
        midway += u32::from(is_replaced_during_its_pull(cluster, node).await);
        report.pod(&format!("pulled while agents were replaced, {node}"), &start);
    }
    assert!(midway > 0, "no agent was replaced in the middle of a pull");
    report.line(&format!("{midway} of 3 agents were replaced in the middle of their node's pull."));
    report.line(&format!(
        "All agents were replaced after {replaced:.1} s, and knew each other {found:.1} s later."
    ));
    let egress = ratio(cluster.sent() - sent, image.bytes());
    report.line(&format!("The registry sent {egress:.2} x the image meanwhile."));
}

/// Whether the agent of a node was replaced between its storm pod's creation and the end of its pull. The times are of
/// one format, so they compare as text.
async fn is_replaced_during_its_pull(cluster: &Cluster, node: &str) -> bool {
    let agents = cluster.agents_on(node, "jsonpath={.items[*].status.startTime}").await;
    let replaced = agents.split_whitespace().max().unwrap();
    let pod = format!("storm-{node}");
    let times = "jsonpath={.metadata.creationTimestamp} \
                 {.status.conditions[?(@.type==\"Ready\")].lastTransitionTime}";
    let times = cluster.kubectl(&["get", "pod", &pod, "--output", times]).await;
    let (created, ready) = times.split_once(' ').unwrap();
    created <= replaced && replaced < ready
}

/// How many peers each agent has.
fn peers(cluster: &Cluster) -> Vec<u32> {
    let mut all = Vec::new();
    for node in &cluster.nodes {
        let ask = "exec 3<>/dev/tcp/127.0.0.1/29903; \
                   printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
        let metrics = node.machine().run("bash", &["-c", ask]).unwrap_or_default();
        let line = metrics.lines().find_map(|line| line.strip_prefix("onepull_router_peers "));
        all.push(line.and_then(|value| value.trim().parse().ok()).unwrap_or_default());
    }
    all
}

/// What is below `certs.d` of a node: files, folders and links with their modes, owners and targets, and the bytes of
/// files. It does not tell when they were written.
fn hosts_files(node: &Node) -> (Vec<String>, BTreeMap<PathBuf, Vec<u8>>) {
    let root = node.machine().see(HOSTS_DIR);
    let find = |arguments: &[&str]| {
        run(std::process::Command::new("find").arg(&root).args(arguments)).unwrap()
    };
    let listed = find(&["-printf", "%P %y %m %u:%g %l\\n"]);
    let mut entries: Vec<_> = listed.lines().map(str::to_owned).collect();
    entries.sort();
    let found = find(&["-type", "f"]);
    let files = found.lines().map(|file| (PathBuf::from(file), fs::read(file).unwrap()));
    let below = |file: PathBuf| file.strip_prefix(&root).unwrap().to_owned();
    (entries, files.map(|(file, bytes)| (below(file), bytes)).collect())
}

/// The command lines of agents that run on a node.
fn agents(node: &Node) -> Vec<String> {
    let all = node.machine().run("ps", &["-eo", "args"]).unwrap();
    all.lines().filter(|line| line.contains("onepull-agent")).map(str::to_owned).collect()
}

/// What onepull has left on a node: files and folders, leases and pins. The kubelet removes its folders for the logs of pods
/// that are gone by itself.
fn left_on(node: &Node) -> Vec<String> {
    let machine = node.machine();
    let written = machine.written().unwrap().into_iter();
    let mut left: Vec<_> = written.map(|path| path.to_string_lossy().into_owned()).collect();
    left.retain(|path| path.contains("onepull") && !path.starts_with("/var/log/"));
    let ctr = containerd_2_folder().join("ctr");
    let list = |what: &str, mark: &str| -> Vec<_> {
        let list = ["--namespace", "k8s.io", what, "ls"];
        let all = machine.run(&ctr.to_string_lossy(), &list).unwrap();
        all.lines().filter(|line| line.contains(mark)).map(str::to_owned).collect()
    };
    left.extend(list("leases", "onepull"));
    left.extend(list("images", "onepull.dev/"));
    left
}
