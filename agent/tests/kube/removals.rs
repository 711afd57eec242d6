//! Images that nobody wants any more go, unless a container uses them.

use containerd_client::{
    services::v1::{
        Container, CreateContainerRequest, DeleteContainerRequest, container,
        containers_client::ContainersClient,
    },
    tonic::Request,
};
use onepull_api::{NodeImageCacheSpec, NodeImageState, NodeReason, Source};
use onepull_testbed::{Shape, deadline::eventually, skip};

use crate::{
    cluster::Node,
    support::{NEEDS, Stage},
};

const ID: &str = "a-container-of-the-test";

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", "k8s.io".parse().unwrap());
    request
}

async fn containers(node: &Node) -> ContainersClient<containerd_client::tonic::transport::Channel> {
    ContainersClient::new(node.containerd.channel().await.unwrap())
}

async fn create_container(node: &Node, image: String) {
    let runtime = container::Runtime { name: "io.containerd.runc.v2".into(), options: None };
    let container = Container {
        id: ID.to_owned(),
        image,
        runtime: Some(runtime),
        spec: Some(prost_types::Any::default()),
        ..Default::default()
    };
    let create = CreateContainerRequest { container: Some(container) };
    containers(node).await.create(within(create)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwanted_image_goes_when_no_container_uses_it_any_more() {
    if skip("an_unwanted_image_goes_when_no_container_uses_it_any_more", NEEDS) {
        return;
    }
    let stage = Stage::set().await;
    let node = stage.node("node", Shape::OPEN, &[]).await;
    stage.tell(&node, stage.holds(Source::Upstream, 1)).await;
    stage.becomes(&node, NodeImageState::Warm).await;

    create_container(&node, stage.cluster.by_tag()).await;
    stage.tell_again(&node, stage.removes()).await;
    let stays = stage.becomes(&node, NodeImageState::Removing).await;
    if stays.reason.is_none() {
        stage.reports(&node, |status| status.images[0].reason.is_some()).await;
    }
    let stays = stage.becomes(&node, NodeImageState::Removing).await;
    assert_eq!(stays.reason, Some(NodeReason::ImageInUse));
    stage.assert_listed(&node, true).await;

    let delete = DeleteContainerRequest { id: ID.to_owned() };
    containers(&node).await.delete(within(delete)).await.unwrap();
    let gone = stage.becomes(&node, NodeImageState::Removed).await;
    assert_eq!(gone.name, stage.cluster.by_tag());
    stage.assert_listed(&node, false).await;
    let blob = node.containerd.blob(&stage.cluster.large_layer().digest);
    let collected = async || (!blob.exists()).then_some(());
    eventually("the layers are collected", std::time::Duration::from_secs(60), collected)
        .await
        .unwrap();

    stage.tell_again(&node, NodeImageCacheSpec::default()).await;
    stage.reports(&node, |status| status.images.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_neither_list_is_left_alone() {
    if skip("an_image_in_neither_list_is_left_alone", NEEDS) {
        return;
    }
    let stage = Stage::set().await;
    let node = stage.node("node", Shape::OPEN, &[]).await;
    stage.tell(&node, stage.holds(Source::Upstream, 1)).await;
    stage.becomes(&node, NodeImageState::Warm).await;
    stage.objects().await.delete(node.host.name(), &Default::default()).await.unwrap();
    node.until(|status| status.images.is_empty()).await;
    stage.assert_listed(&node, true).await;
}
