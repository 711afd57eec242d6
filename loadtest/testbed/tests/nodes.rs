//! The testbed's nodes against themselves: real kubelets run pods, which have a network, and all ends with them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use onepull_testbed::{
    Layout, Shape,
    deadline::eventually,
    kube::{CLUSTER, Cluster, HOSTS_DIR},
    layout::Spec,
    process::run,
    skip,
};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(120);

/// A deployment of two pods, one for each node, that wait.
const PODS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: waiting}
spec:
  replicas: 2
  selector: {matchLabels: {app: waiting}}
  template:
    metadata: {labels: {app: waiting}}
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: waiting}}}
      containers:
      - {name: waiting, image: "registry.example/team/app:v1"}
"#;

#[tokio::test]
async fn pods_run_on_every_node_reach_each_other_and_end_with_it() {
    if skip("pods_run_on_every_node_reach_each_other_and_end_with_it", &CLUSTER) {
        return;
    }
    let mut cluster = Cluster::start("registry.example").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let image = Layout::waiting(folder.path(), &Spec::even(1 << 20, 2, 1)).unwrap();
    cluster.registry.push(&image, "team/app", "v1").await.unwrap();
    for name in ["node-1", "node-2"] {
        cluster.join(name, Shape::OPEN, &[]).await.unwrap();
    }
    let Cluster { nodes, server, .. } = &mut cluster;

    let file = folder.path().join("pods.yaml");
    fs::write(&file, PODS).unwrap();
    server.kubectl(&["apply", "-f", &file.to_string_lossy()]).await.unwrap();
    server.kubectl(&["rollout", "status", "deployment/waiting", "--timeout=100s"]).await.unwrap();

    let list =
        "jsonpath={range .items[*]}{.spec.nodeName} {.status.podIP} {.metadata.name}{\"\\n\"}{end}";
    let found = server.kubectl(&["get", "pods", "--output", list]).await.unwrap();
    let pods: Vec<Vec<_>> = found.lines().map(|line| line.split(' ').collect()).collect();
    let mut on: Vec<_> = pods.iter().map(|pod| pod[0]).collect();
    on.sort_unstable();
    assert_eq!(on, ["node-1", "node-2"]);
    let [first, second] = [&pods[0], &pods[1]];
    let ping = ["exec", first[2], "--", "/bin/busybox", "ping", "-c", "1", second[1]];
    server.kubectl(&ping).await.unwrap();
    let ask = "echo | /bin/busybox nc -w 5 10.96.0.1 443";
    server.kubectl(&["exec", first[2], "--", "/bin/busybox", "sh", "-c", ask]).await.unwrap();

    let machine = nodes[0].machine();
    let written = machine.written().unwrap();
    let hosts = format!("{HOSTS_DIR}/registry.example/hosts.toml");
    assert!(written.iter().any(|path| path.as_os_str() == hosts.as_str()), "{written:?}");
    assert!(!std::path::Path::new("/var/lib/kubelet/config.yaml").exists());
    let root = machine.see("/");
    nodes.clear();
    assert!(!root.exists());
    let shims = async || {
        let all = run(std::process::Command::new("ps").args(["-eo", "args"])).ok()?;
        let left = all.lines().any(|line| line.contains("sleep 3600") && line.contains("busybox"));
        (!left).then_some(())
    };
    eventually("the end of the pods", LIMIT, shims).await.unwrap();
}
