//! A cluster that does not let the agent in, or does not know onepull, costs nobody a pull.

use onepull_api::{NodeImageState, Source};
use onepull_testbed::{Shape, skip};

use crate::support::{NEEDS, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_rights_or_definitions_serves_and_says_what_to_do() {
    if skip("an_agent_without_rights_or_definitions_serves_and_says_what_to_do", NEEDS) {
        return;
    }
    let stage = Stage::without_definitions().await;
    let node = stage.node_without_rights("node", Shape::OPEN, &[]).await;
    let says = async |word: &str| {
        let said = |problem: Option<&String>| problem.is_some_and(|it| it.contains(word));
        node.until(|status| said(status.problem.as_ref())).await;
    };
    says("give its service account a role").await;
    let ready = node.admin("/readyz").await.unwrap();
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    node.pull(&stage.cluster.by_tag()).await.unwrap();
    stage.allow("node").await;
    says("apply onepull's CRDs").await;

    let mut status = node.host.command(env!("CARGO_BIN_EXE_onepull-agent"));
    let shown = String::from_utf8(status.arg("status").output().unwrap().stdout).unwrap();
    assert!(shown.contains("no images are declared") && shown.contains("CRDs"), "{shown}");

    stage.define().await;
    node.until(|status| status.problem.is_none()).await;
    stage.tell(&node, stage.holds(Source::Upstream, 1)).await;
    let warm = stage.becomes(&node, NodeImageState::Warm).await;
    assert_eq!(warm.bytes_from_upstream, 0, "a pod had pulled it before it was declared");
}
