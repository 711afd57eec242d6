//! The API server goes away, and the node goes on.

use onepull_agent::status::Phase;
use onepull_api::{NodeImageState, Source};
use onepull_testbed::{Shape, skip};

use crate::{
    cluster::SLOW,
    support::{NEEDS, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_while_the_api_server_is_away_and_reports_when_it_is_back() {
    let name = "a_node_goes_on_while_the_api_server_is_away_and_reports_when_it_is_back";
    if skip(name, NEEDS) {
        return;
    }
    let mut stage = Stage::set().await;
    let node = stage.node("node", SLOW, &[]).await;
    stage.tell(&node, stage.holds(Source::Upstream, 1)).await;
    stage.becomes(&node, NodeImageState::Warming).await;
    stage.server.stop().await;

    node.until(|status| status.images[0].state == Phase::Held).await;
    let says = |problem: Option<&String>| problem.is_some_and(|it| it.contains("does not answer"));
    node.until(|status| says(status.problem.as_ref())).await;
    let ready = node.admin("/readyz").await.unwrap();
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(node.metric("onepull_kube_api_errors_total").await > 0);

    stage.server.restart().await.unwrap();
    let warm = stage.becomes(&node, NodeImageState::Warm).await;
    assert_eq!(warm.bytes_from_upstream, stage.bytes());
    node.until(|status| status.problem.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_while_the_api_server_is_away_knows_what_it_was_told() {
    let name = "an_agent_that_starts_while_the_api_server_is_away_knows_what_it_was_told";
    if skip(name, NEEDS) {
        return;
    }
    let mut stage = Stage::set().await;
    let mut node = stage.node("node", Shape::OPEN, &[]).await;
    stage.tell(&node, stage.holds(Source::Upstream, 1)).await;
    let before = stage.becomes(&node, NodeImageState::Warm).await;
    stage.server.stop().await;
    node.kill_agent();
    stage.start_agent(&mut node, &[]).await;

    node.until(|status| status.images.len() == 1 && status.images[0].state == Phase::Held).await;
    node.until(|status| status.problem.is_some()).await;
    let mut cri = node.containerd.cri().await.unwrap();
    cri.remove(&stage.cluster.by_tag()).await.unwrap();
    stage.assert_listed(&node, false).await;

    stage.server.restart().await.unwrap();
    node.until(|status| status.problem.is_none()).await;
    stage.tell_again(&node, stage.holds(Source::Upstream, 2)).await;
    let answers = |status: &onepull_api::NodeImageCacheStatus| {
        status.images[0].generation == 2 && status.images[0].state == NodeImageState::Warm
    };
    let after = stage.reports(&node, answers).await.images.remove(0);
    assert!(after.bytes_from_upstream >= before.bytes_from_upstream, "{after:?}");
}
