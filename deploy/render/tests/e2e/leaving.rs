//! Upgrades in the middle of pulls, and an end without a trace.

use std::{collections::BTreeMap, fs, path::PathBuf};

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

/// So slow that an upgrade has begun and ended within a pull of 64 MiB.
const SLOW: u64 = 40_000_000;

const UPGRADE: &str = "
skopeo copy docker://registry.example/onepull:0.1.0 docker://registry.example/onepull:0.1.1
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
    for host in cluster.nodes.iter().map(Node::host).chain([&cluster.store]) {
        host.reshape(Shape::both(SLOW)).unwrap();
    }
    let image = cluster.push("team/storm", "v1", 30).await;
    let (sent, since) = (cluster.sent(), now());
    for node in NODES {
        cluster.create_pod(&format!("storm-{node}"), "registry.example/team/storm:v1", node).await;
    }
    cluster.workstation.types(UPGRADE).await;
    let (replaced, ready) = (since.elapsed(), now());
    let found = async || (peers(cluster) == [2, 2, 2]).then_some(());
    eventually("all agents found each other again", LIMIT, found).await.unwrap();
    let (replaced, found) = (replaced.as_secs_f64(), ready.elapsed().as_secs_f64());
    report.line(&format!(
        "All agents were replaced after {replaced:.1} s, and knew each other {found:.1} s later."
    ));
    for node in NODES {
        let start = cluster.started(&format!("storm-{node}"), since).await;
        assert!(start.pulled() && !failed(&start), "{}", start.messages);
        report.pod(&format!("pulled while agents were replaced, {node}"), &start);
    }
    let egress = ratio(cluster.sent() - sent, image.bytes());
    report.line(&format!("The registry sent {egress:.2} x the image meanwhile."));
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

/// The files below `certs.d` of a node, and their bytes.
fn hosts_files(node: &Node) -> BTreeMap<PathBuf, Vec<u8>> {
    let root = node.machine().see(HOSTS_DIR);
    let found = run(std::process::Command::new("find").arg(&root).args(["-type", "f"])).unwrap();
    let files = found.lines().map(|file| (PathBuf::from(file), fs::read(file).unwrap()));
    let below = |file: PathBuf| file.strip_prefix(&root).unwrap().to_owned();
    files.map(|(file, bytes)| (below(file), bytes)).collect()
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
