//! What an agent needs of its node, and what it leaves there.

use onepull_testbed::{Shape, Version, skip};

use crate::{
    cluster::{Cluster, Node},
    pulling::NEEDS,
};

impl Node {
    /// What its agent may do that not every process may.
    fn capabilities(&self) -> Vec<String> {
        let status = format!("/proc/{}/status", self.agent.as_ref().unwrap().pid());
        let status = std::fs::read_to_string(status).unwrap();
        let sets = status.lines().filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"));
        sets.map(|(_, set)| set.trim_start_matches('0').to_owned()).collect()
    }

    pub(crate) async fn leases_of_onepull(&self) -> Vec<String> {
        let leases = self.containerd.content().await.unwrap().leases().await.unwrap();
        leases.into_iter().filter(|lease| lease.starts_with("onepull")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_may_nothing_but_what_it_needs_does_its_work_and_leaves_only_images() {
    let name = "an_agent_that_may_nothing_but_what_it_needs_does_its_work_and_leaves_only_images";
    if skip(name, NEEDS) {
        return;
    }
    let cluster = Cluster::start().await;
    let seed = cluster.node("seed", Version::V2_2, Shape::OPEN, &[]).await;
    seed.pull(&cluster.by_tag()).await.unwrap();
    seed.announced(&cluster.image).await;
    let mut node = cluster.bare_node("node", Version::V2_2, Shape::OPEN).await;
    node.confined = true;
    let theirs = node.hosts_dir().join("other.example/hosts.toml");
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::write(&theirs, "server = \"https://other.example\" # ours\n").unwrap();
    std::fs::write(node.desired_file(), "images: []\n").unwrap();
    let registries = format!("{},other.example", cluster.registry.url());
    node.start_agent(&registries, &[seed.host.ip()]).await;
    assert_eq!(node.capabilities(), [""; 5]);
    assert_ne!(seed.capabilities(), [""; 5]);
    assert!(std::fs::read_to_string(&theirs).unwrap().contains("127.0.0.1:29900"));

    let before = cluster.egress();
    cluster.declare(&node, "Peers");
    node.is_held().await;
    cluster.assert_warm(&node).await;
    let sent = cluster.egress() - before;
    assert!(sent < 64 << 10, "the registry sent {sent} bytes");
    assert_ne!(node.leases_of_onepull().await, [""; 0]);

    node.agent.take().unwrap().stop().await;
    let mut uninstall = node.agent_command("uninstall");
    uninstall.arg("--stay");
    node.run_agent(uninstall);
    node.agent_is_ready().await;
    let kept = std::fs::read_to_string(&theirs).unwrap();
    assert_eq!(kept, "server = \"https://other.example\" # ours\n");
    let folders = std::fs::read_dir(node.hosts_dir()).unwrap();
    let folders: Vec<_> = folders.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(folders, ["other.example"]);
    assert_eq!(node.leases_of_onepull().await, [""; 0]);
    // The folder itself is mounted, as in a pod.
    assert_eq!(std::fs::read_dir(node.data_dir()).unwrap().count(), 0);
    cluster.assert_warm(&node).await;
    assert!(node.agent.take().unwrap().stop().await.success(), "it ends when told");
}
