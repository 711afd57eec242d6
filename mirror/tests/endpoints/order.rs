//! Layers that are asked for in another order than their manifest's.

use std::{collections::BTreeSet, future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::StatusCode;
use onepull_mirror::{
    Digest, Reservation, Store,
    router::MemoryNetwork,
    store::{FolderStore, Opened, Presence, StoreError, Watch},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    parked::image,
    support::{Answer, Node, manifest, noise},
};

const MIB: u64 = 1 << 20;

/// Shorter than what ends a reservation whose turn does not come.
const LIMIT: Duration = Duration::from_secs(15);

/// Two nodes, the digests of five layers, and the image of them that `nodes[0]` holds.
async fn five_layers(size: u64) -> (Vec<Node>, Vec<Digest>, Digest) {
    let network = MemoryNetwork::default();
    let nodes = vec![Node::start(&network).await, Node::start(&network).await];
    let layers: Vec<_> = (0..5u8).map(|layer| Digest::sha256(&[layer])).collect();
    let image = image(&nodes[0], &layers, size).await;
    (nodes, layers, image)
}

/// Has the runtime take the manifest of an image of these layers past the mirror.
async fn has_manifest_from_registry(node: &Node, layers: &[Digest]) {
    let json = layers.iter().map(|layer| format!(r#"{{"digest":"{layer}","size":{}}}"#, 2 * MIB));
    let json = json.collect::<Vec<_>>().join(",");
    let json = format!(r#"{{"schemaVersion":2,"annotations":{{}},"layers":[{json}]}}"#);
    let digest = Digest::sha256(json.as_bytes());
    assert_eq!(node.get(&manifest(&digest), &[]).await.status, StatusCode::NOT_FOUND);
    node.hold(json.as_bytes()).await;
}

/// Whether a layer's request was answered so that its slot is free for others.
async fn gives_its_slot_back(node: &Node, layer: &Digest) -> bool {
    let answer = node.get_blob(layer).await;
    let is_empty =
        (answer.status, answer.body.len(), answer.complete) == (StatusCode::OK, 0, false);
    assert!(is_empty || answer.status == StatusCode::NOT_FOUND, "nobody has it");
    is_empty
}

#[tokio::test]
async fn a_layer_whose_turn_has_not_come_gives_its_slot_back_twice() {
    let (nodes, layers, image) = five_layers(2 * MIB).await;
    let node = &nodes[1];
    node.get(&manifest(&image), &[]).await;
    assert!(gives_its_slot_back(node, &layers[4]).await);
    assert!(gives_its_slot_back(node, &layers[3]).await);
    for layer in &layers[..3] {
        assert!(!gives_its_slot_back(node, layer).await);
    }
    assert!(gives_its_slot_back(node, &layers[3]).await);
    assert!(!gives_its_slot_back(node, &layers[3]).await, "its runtime bears no more");
}

#[tokio::test]
async fn layers_that_the_runtime_does_not_ask_for_keep_no_other_waiting_twice() {
    let (nodes, layers, image) = five_layers(2 * MIB).await;
    nodes[1].get(&manifest(&image), &[]).await;
    for layer in &layers[3..] {
        assert!(gives_its_slot_back(&nodes[1], layer).await);
    }
    for layer in &layers[3..] {
        assert!(!gives_its_slot_back(&nodes[1], layer).await, "it has the first three, unpacked");
    }
}

#[tokio::test]
async fn a_layer_s_turn_comes_with_the_end_of_one_before_it() {
    let network = MemoryNetwork::default();
    let (node, _other) = (Node::start(&network).await, Node::start(&network).await);
    let first = vec![1; 2 << 20];
    let mut layers: Vec<_> = (0..4u8).map(|layer| Digest::sha256(&[layer])).collect();
    layers[0] = Digest::sha256(&first);
    let image = image(&node, &layers, 2 * MIB).await;
    node.get(&manifest(&image), &[]).await;
    assert!(gives_its_slot_back(&node, &layers[3]).await);
    node.hold(&first).await;
    assert!(!gives_its_slot_back(&node, &layers[3]).await);
}

#[tokio::test]
async fn the_order_is_learnt_from_a_manifest_that_came_from_the_registry_too() {
    let (nodes, layers, _) = five_layers(2 * MIB).await;
    let node = &nodes[1];
    has_manifest_from_registry(node, &layers).await;
    assert!(gives_its_slot_back(node, &layers[4]).await);
}

#[tokio::test]
async fn small_layers_and_layers_of_a_lone_node_come_as_they_are_asked_for() {
    let (nodes, layers, image) = five_layers(MIB - 1).await;
    nodes[1].get(&manifest(&image), &[]).await;
    assert!(!gives_its_slot_back(&nodes[1], &layers[4]).await);

    let lone = Node::start(&MemoryNetwork::default()).await;
    let image = self::image(&lone, &layers, 2 * MIB).await;
    lone.get(&manifest(&image), &[]).await;
    assert!(!gives_its_slot_back(&lone, &layers[4]).await);
}

/// What a node gets for the last of five layers, sent away twice, which another node is about to come to.
/// They share the first. `in_turn`: the last one's turn comes before it is asked for again.
async fn asks_for_the_last(manifest_from_registry: bool, in_turn: bool) -> (Answer, Vec<u8>) {
    let (nodes, mut layers, _) = five_layers(2 * MIB).await;
    let (node, other) = (&nodes[0], &nodes[1]);
    let (first, last) = (noise(2 << 20, 1), noise(2 << 20, 2));
    (layers[0], layers[4]) = (Digest::sha256(&first), Digest::sha256(&last));
    if manifest_from_registry {
        has_manifest_from_registry(node, &layers).await;
    } else {
        let image = image(node, &layers, 2 * MIB).await;
        node.get(&manifest(&image), &[]).await;
    }
    for layer in &layers[1..3] {
        assert!(!gives_its_slot_back(node, layer).await);
    }
    assert_eq!(other.get_blob(&layers[0]).await.status, StatusCode::NOT_FOUND, "it leads");
    let mut arriving = other.store.write(layers[0]).await.unwrap().with_total(2 * MIB);
    arriving.append(&first[..1 << 20]).await.unwrap();

    let asks = async {
        while other.metrics.sent_to_peers.get() == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        for _ in 0..2 {
            assert!(gives_its_slot_back(node, &layers[4]).await);
        }
        if in_turn {
            node.hold(&[1]).await;
        }
        node.get_blob(&layers[4]).await
    };
    let comes = async {
        while node.metrics.sent_away.get() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(300)).await;
        assert_eq!(other.get_blob(&layers[4]).await.status, StatusCode::NOT_FOUND, "it leads");
        other.hold(&last).await;
        pending().await
    };
    let finishes = async {
        let answer = tokio::select! {
            answer = asks => answer,
            never = comes => never,
        };
        arriving.append(&first[1 << 20..]).await.unwrap();
        arriving.commit().await.unwrap();
        answer
    };
    let (shared, answer) = tokio::join!(node.get_blob(&layers[0]), finishes);
    assert!(shared.complete);
    (answer, last)
}

#[tokio::test]
async fn a_layer_that_cannot_be_asked_for_again_is_left_to_nodes_that_share_the_image() {
    let (answer, last) = asks_for_the_last(false, false).await;
    assert!(answer.complete && answer.body == last);
}

#[tokio::test]
async fn a_layer_that_others_reserve_is_left_to_them_in_its_turn_too() {
    let (answer, last) = asks_for_the_last(true, true).await;
    assert!(answer.complete && answer.body == last);
}

#[tokio::test]
async fn a_layer_that_nobody_reserves_is_led_in_its_turn() {
    let (answer, _) = asks_for_the_last(false, true).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "it leads");
}

/// The layers that are reserved now.
type Reserved = watch::Sender<BTreeSet<Digest>>;

/// A store whose runtime waits for what is reserved.
struct Reserving {
    store: Arc<FolderStore>,
    reserved: Reserved,
}

/// It ends when it is dropped.
struct Until {
    layer: Digest,
    reserved: Reserved,
}

#[async_trait]
impl Store for Reserving {
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError> {
        self.store.stat(digest).await
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Opened, StoreError> {
        self.store.open(digest, offset).await
    }

    async fn abort(&self, digest: &Digest) -> Result<(), StoreError> {
        self.store.abort(digest).await
    }

    fn watch(&self) -> Watch {
        self.store.watch()
    }

    fn follow(&self, digest: &Digest) -> watch::Receiver<Option<Presence>> {
        self.store.follow(digest)
    }

    async fn reserve(&self, layer: &Digest, _: u64) -> Option<Box<dyn Reservation>> {
        self.reserved.send_modify(|reserved| assert!(reserved.insert(*layer)));
        Some(Box::new(Until { layer: *layer, reserved: self.reserved.clone() }))
    }
}

#[async_trait]
impl Reservation for Until {
    async fn release(self: Box<Self>) {}
}

impl Drop for Until {
    fn drop(&mut self) {
        self.reserved.send_modify(|reserved| assert!(reserved.remove(&self.layer)));
    }
}

#[tokio::test]
async fn layers_whose_turn_has_not_come_are_reserved_until_it_has() {
    let network = MemoryNetwork::default();
    let reserved = Reserved::default();
    let seen = reserved.clone();
    let node =
        Node::start_with(&network, |store| Arc::new(Reserving { store, reserved: seen })).await;
    let _other = Node::start(&network).await;
    let blobs: Vec<_> = (0..5).map(|layer| noise(1 << 20, 51 + 2 * layer)).collect();
    let layers: Vec<_> = blobs.iter().map(|blob| Digest::sha256(blob)).collect();
    let image = image(&node, &layers, MIB).await;
    assert_eq!(node.get(&manifest(&image), &[]).await.status, StatusCode::OK);
    let mut reserved = reserved.subscribe();
    assert!(reserved.borrow().iter().eq(&BTreeSet::from([layers[3], layers[4]])));
    node.hold(&blobs[1]).await;
    let one_is_left = reserved.wait_for(|reserved| reserved.iter().eq([&layers[4]]));
    drop(timeout(LIMIT, one_is_left).await.unwrap().unwrap());
    node.hold(&blobs[0]).await;
    drop(timeout(LIMIT, reserved.wait_for(BTreeSet::is_empty)).await.unwrap().unwrap());
}
