//! What becomes of declared images.

use std::time::Duration;

use futures::future::join_all;
use onepull_agent::{desired::Source, status::Phase};
use onepull_mirror::{
    Digest, Sink, Store,
    router::MemoryNetwork,
    sink::{Part, Role},
};
use tokio::time::timeout;

use crate::node::{LIMIT, Node, Registry};

const LAYERS: [usize; 4] = [3 << 20, 5 << 20, 700_000, 2 << 20];

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_follow_in_flight_the_one_that_pulls_and_the_registry_sends_each_byte_once() {
    let (network, registry) = (MemoryNetwork::default(), Registry::of(&LAYERS));
    let nodes = join_all((0..3).map(|_| Node::start(&network, &registry))).await;
    for node in &nodes[1..] {
        node.desired.say(&registry.image, Source::Peers);
    }
    nodes[0].desired.say(&registry.image, Source::Upstream);
    nodes[1].until(|image| image.bytes_done.is_some_and(|done| done > 1 << 20)).await;
    assert_ne!(nodes[0].image().state, Phase::Held, "in flight");
    for node in &nodes {
        node.is(Phase::Held).await;
        node.assert_complete(&registry.image).await;
    }
    let all: usize = registry.image.all().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(registry.sent(), all as u64);
    let image = nodes[2].image();
    let bytes = registry.image.blob_bytes();
    assert_eq!((image.bytes_done, image.bytes_total), (Some(bytes), Some(bytes)));
    assert_eq!(image.bytes_from_peers, bytes);
    let layers: Vec<_> = registry.image.blobs[..LAYERS.len()].iter().map(|it| it.0).collect();
    assert_eq!(nodes[2].runtime.unpacked(), layers, "in their order");
    assert_eq!(nodes[0].runtime.unpacked(), [], "the runtime's pull does that itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_followed_as_they_come_wherever_the_first_node_begins() {
    let (network, registry) = (MemoryNetwork::default(), Registry::of(&LAYERS));
    let (seed, node) =
        (Node::start(&network, &registry).await, Node::start(&network, &registry).await);
    node.desired.say(&registry.image, Source::Peers);
    let image = &registry.image;
    let fetch = |kind, (digest, bytes): &'_ (Digest, Vec<u8>)| {
        let (runtime, digest, size) = (seed.runtime.clone(), *digest, bytes.len() as u64);
        async move { runtime.fetch(kind, &digest, size).await }
    };
    join_all([&image.index, &image.manifest].map(|it| fetch("manifests", it))).await;
    join_all([3, 1].map(|layer| fetch("blobs", &image.blobs[layer]))).await;
    for layer in [3, 1] {
        node.gets(&image.blobs[layer].0).await;
    }
    for layer in [0, 2] {
        let presence = node.store.stat(&image.blobs[layer].0).await.unwrap();
        assert_eq!(presence, None, "no writer is open for what does not come");
    }
    seed.runtime.pull_image().await;
    node.is(Phase::Held).await;
    node.assert_complete(image).await;
    let all: usize = image.all().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(registry.sent(), all as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_source_needs_upstream_and_is_warm_once_there_is_one() {
    let (network, registry) = (MemoryNetwork::default(), Registry::of(&[1 << 20, 9]));
    let (node, seed) =
        (Node::start(&network, &registry).await, Node::start(&network, &registry).await);
    node.desired.say(&registry.image, Source::Peers);
    node.is(Phase::NeedsUpstream).await;
    let image = node.image();
    assert!(image.error.unwrap().contains("no other node has"), "a sentence");
    assert_eq!(registry.sent(), 0, "it never goes to the registry");

    seed.desired.say(&registry.image, Source::Upstream);
    seed.is(Phase::Held).await;
    node.is(Phase::Held).await;
    node.assert_complete(&registry.image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_begins_meanwhile_gets_the_image_and_the_warmer_takes_note() {
    let (network, registry) = (MemoryNetwork::default(), Registry::of(&LAYERS));
    let (seed, node) =
        (Node::start(&network, &registry).await, Node::start(&network, &registry).await);
    node.desired.say(&registry.image, Source::Peers);
    seed.desired.say(&registry.image, Source::Upstream);
    node.until(|image| image.bytes_from_peers > 1 << 20).await;
    timeout(LIMIT, node.runtime.pull_image()).await.unwrap();
    node.is(Phase::Held).await;
    node.assert_complete(&registry.image).await;
    assert!(
        node.image().bytes_from_peers < registry.image.blob_bytes(),
        "the runtime got the rest"
    );
    let all: usize = registry.image.all().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(registry.sent(), all as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_no_longer_declared_is_left_where_it_is() {
    let (network, registry) = (MemoryNetwork::default(), Registry::of(&LAYERS));
    let (seed, node) =
        (Node::start(&network, &registry).await, Node::start(&network, &registry).await);
    node.desired.say(&registry.image, Source::Peers);
    seed.desired.say(&registry.image, Source::Upstream);
    node.until(|image| image.bytes_from_peers > 1 << 20).await;
    let other = Registry::of(&[1]);
    node.desired.say(&other.image, Source::Peers);
    node.until(|image| image.digest == other.image.index.0.to_string()).await;
    seed.is(Phase::Held).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let index = node.store.stat(&registry.image.index.0).await.unwrap();
    assert_eq!(index, None, "nothing more was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_images_that_were_undeclared_while_no_agent_ran_end_when_the_list_is_known() {
    let (network, registry) = (MemoryNetwork::default(), Registry::of(&LAYERS));
    let node = Node::start(&network, &registry).await;
    let earlier = Digest::sha256(b"undeclared while no agent ran");
    for image in [earlier, registry.image.index.0] {
        let part = Part { image, role: Role::Layer, digest: Digest::sha256(b"layer"), size: 9 };
        node.runtime.sink.open(&part).await.unwrap().close().await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let both = [earlier, registry.image.index.0].into();
    assert_eq!(
        node.runtime.sink.kept().await.unwrap(),
        both,
        "nobody has said yet what is declared"
    );
    node.desired.say(&registry.image, Source::Peers);
    node.is(Phase::Warming).await;
    assert_eq!(node.runtime.sink.kept().await.unwrap(), [registry.image.index.0].into());
}
