//! What the agent of a node may do, and that it is no more.

use k8s_openapi::api::{
    core::v1::{ConfigMap, Node, Pod, Secret},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, Error,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use onepull_api::{NodeImageCache, logins::AUTHORITIES};
use serde_json::json;

use crate::{
    stage::{SYSTEM, Stage},
    tokens::AGENT,
};

/// The words with which the API server refuses.
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Api(status)) if status.code == 403 => status.message.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

async fn patch_status(client: &Client, node: &str) -> Result<NodeImageCache, Error> {
    let api: Api<NodeImageCache> = Api::all(client.clone());
    let status = json!({
        "apiVersion": "onepull.dev/v1alpha1", "kind": "NodeImageCache",
        "status": {"agentVersion": "0.0.0-test"},
    });
    api.patch_status(node, &PatchParams::apply("onepull-agent"), &Patch::Apply(status)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_reads_no_secret_and_writes_the_status_of_its_own_node_alone() {
    let Some(stage) = Stage::set("an agent's rights").await else { return };
    for name in ["a", "b"] {
        stage.node(name, "gpu").await;
    }
    let _controller = stage.controller("one").await;
    stage.eventually("nodes are told", async || stage.told().await.len() == 2).await;
    stage.kubectl(&["create", "secret", "generic", "secret", "--from-literal=a=b"]).await;
    let pod = stage.pod(SYSTEM, AGENT, "a").await;
    let token = stage.token(SYSTEM, AGENT, Some(&pod), None).await;
    let agent = stage.client_with(&token).await;

    for namespace in ["default", SYSTEM] {
        let secrets: Api<Secret> = Api::namespaced(agent.clone(), namespace);
        refused(secrets.get("secret").await);
        refused(secrets.list(&ListParams::default()).await);
    }
    refused(Api::<Pod>::namespaced(agent.clone(), SYSTEM).list(&ListParams::default()).await);
    refused(Api::<Node>::all(agent.clone()).get("a").await);
    let all = ListParams::default();
    let slices = |namespace| Api::<EndpointSlice>::namespaced(agent.clone(), namespace);
    slices(SYSTEM).list(&all).await.unwrap();
    refused(slices("default").list(&all).await);
    let maps: Api<ConfigMap> = Api::namespaced(agent.clone(), SYSTEM);
    maps.get_opt(AUTHORITIES).await.unwrap();
    refused(maps.get("another").await);
    refused(maps.list(&all).await);

    // A policy takes a moment to be known to the API server.
    stage
        .eventually("the policy is in force", async || patch_status(&agent, "b").await.is_err())
        .await;
    let said = refused(patch_status(&agent, "b").await);
    assert!(said.contains("the agent of node a may not write the NodeImageCache b"), "{said}");
    let own = patch_status(&agent, "a").await.unwrap();
    assert_eq!(own.status.unwrap().agent_version.as_deref(), Some("0.0.0-test"));

    let objects: Api<NodeImageCache> = Api::all(agent.clone());
    let patch = Patch::Merge(json!({"spec": {"images": []}}));
    refused(objects.patch("a", &PatchParams::default(), &patch).await);
    refused(objects.delete("a", &DeleteParams::default()).await);
    let unbound = stage.token(SYSTEM, AGENT, None, None).await;
    let said = refused(patch_status(&stage.client_with(&unbound).await, "a").await);
    assert!(said.contains("no node"), "{said}");
}
