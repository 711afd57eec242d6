//! Agents find each other through the EndpointSlices of their service, with neither a name server nor addresses
//! that somebody wrote down.

use std::time::Duration;

use onepull_testbed::{Shape, Version, deadline::eventually, skip};
use serde_json::json;

use crate::{
    cluster::Node,
    support::{NEEDS, Stage},
};

/// A loaded machine is slow, but not this slow.
const LIMIT: Duration = Duration::from_secs(60);

const FLAGS: &[&str] = &["--bootstrap-service", "onepull-agent", "--namespace", "default"];

impl Stage {
    async fn bare_node(&self, name: &str) -> Node {
        self.allow(name).await;
        self.cluster.bare_node(name, Version::V2_2, Shape::OPEN).await
    }

    /// What the controller of EndpointSlices writes while no pod is ready: the service publishes them all the same.
    async fn publish(&self, nodes: &[&Node]) {
        let conditions = json!({"ready": true, "serving": false, "terminating": false});
        let endpoint = |node: &&Node| json!({"addresses": [node.host.ip()], "conditions": conditions, "nodeName": node.host.name()});
        self.create(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": "onepull-agent-abcde", "namespace": "default",
                "labels": {"kubernetes.io/service-name": "onepull-agent"},
            },
            "endpoints": nodes.iter().map(endpoint).collect::<Vec<_>>(),
            "ports": [{"name": "metrics", "port": 29903}, {"name": "p2p", "port": 29902}],
        }))
        .await;
    }
}

impl Node {
    async fn has_peers(&self, count: u64) {
        let has = async || {
            let peers = self.metric("onepull_router_peers").await;
            (peers == count).then_some(())
        };
        eventually("the peers", LIMIT, has).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_start_together_find_each_other_in_the_slices_of_their_service() {
    let name = "agents_that_start_together_find_each_other_in_the_slices_of_their_service";
    if skip(name, NEEDS) {
        return;
    }
    let stage = Stage::set().await;
    let mut nodes = [stage.bare_node("a").await, stage.bare_node("b").await];
    stage.publish(&nodes.each_ref()).await;
    for node in &mut nodes {
        stage.spawn_agent(node, &[], FLAGS);
    }
    for node in &mut nodes {
        node.agent_is_ready().await;
        node.has_peers(1).await;
    }
    let [a, b] = &nodes;
    a.pull(&stage.cluster.by_tag()).await.unwrap();
    a.announced(&stage.cluster.image).await;
    let before = stage.cluster.egress();
    b.pull(&stage.cluster.by_tag()).await.unwrap();
    let sent = stage.cluster.egress() - before;
    assert!(sent < 64 << 10, "the registry sent {sent} bytes, so b did not get it from a");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_agent_of_a_cluster_waits_for_nobody() {
    if skip("the_only_agent_of_a_cluster_waits_for_nobody", NEEDS) {
        return;
    }
    let stage = Stage::set().await;
    let mut node = stage.bare_node("a").await;
    stage.publish(&[&node]).await;
    stage.spawn_agent(&mut node, &[], FLAGS);
    node.agent_is_ready().await;
    node.has_peers(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_serves_while_the_api_server_is_away_and_joins_when_it_is_back() {
    let name = "an_agent_serves_while_the_api_server_is_away_and_joins_when_it_is_back";
    if skip(name, NEEDS) {
        return;
    }
    let mut stage = Stage::set().await;
    let (mut a, mut b) = (stage.bare_node("a").await, stage.bare_node("b").await);
    stage.publish(&[&a, &b]).await;
    stage.spawn_agent(&mut a, &[], FLAGS);
    stage.server.stop().await;

    stage.spawn_agent(&mut b, &[], FLAGS);
    let alone =
        async || b.admin("/readyz").await.filter(|answer| answer.contains("no peer answers"));
    let said = eventually("it says that it is alone", LIMIT, alone).await.unwrap();
    assert!(said.contains("--bootstrap-service"), "{said}");
    let served = b.mirror("/v2/").await.unwrap();
    assert!(served.starts_with("HTTP/1.1 200"), "{served}");
    b.pull(&stage.cluster.by_tag()).await.unwrap();

    stage.server.restart().await.unwrap();
    for node in [&mut a, &mut b] {
        node.agent_is_ready().await;
        node.has_peers(1).await;
    }
}
