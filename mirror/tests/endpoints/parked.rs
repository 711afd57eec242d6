//! Requests that wait for bytes while others of the node need its download slots.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use onepull_mirror::{Digest, router::MemoryNetwork};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::support::{Node, QUICK, blob, manifest, noise};

/// containerd's slots for all its pulls.
const SLOTS: usize = 3;

/// What the runtime asks for in a pull, in this order, each in a slot of its own.
struct Image {
    manifest: Digest,
    layers: Vec<Digest>,
}

/// A lead and a node that is to follow it; the lead is told to pull and never does.
async fn stalled_storm(layers: u8) -> (MemoryNetwork, Node, Node, Image) {
    let network = MemoryNetwork::default();
    let (lead, node) = (Node::start(&network).await, Node::start(&network).await);
    let layers: Vec<_> = (0..layers).map(|layer| Digest::sha256(&[layer])).collect();
    let manifest = image(&node, &layers, 2 << 20).await;
    for layer in &layers {
        assert_eq!(lead.get_blob(layer).await.status, StatusCode::NOT_FOUND, "it leads");
    }
    (network, lead, node, Image { manifest, layers })
}

/// Makes `node` hold the manifest of an image, each of whose layers has `size` bytes.
async fn image(node: &Node, layers: &[Digest], size: u64) -> Digest {
    let layers = layers.iter().map(|digest| format!(r#"{{"digest":"{digest}","size":{size}}}"#));
    let layers = layers.collect::<Vec<_>>().join(",");
    let json = format!(r#"{{"schemaVersion":2,"layers":[{layers}]}}"#);
    node.hold(json.as_bytes()).await
}

/// Pulls as containerd does: each blob in a slot, and again in a later one after an empty answer.
/// What the registry is asked for does not matter here, and costs no time.
async fn pull(node: &Node, slots: &Semaphore, image: &Image) {
    let slot = slots.acquire().await.unwrap();
    node.get(&manifest(&image.manifest), &[]).await;
    drop(slot);
    let layers = image.layers.iter().map(async |layer| {
        for empty in 0.. {
            let slot = slots.acquire().await.unwrap();
            let answer = node.get(&blob(layer), &[]).await;
            drop(slot);
            if answer.status != StatusCode::OK || answer.complete {
                return;
            }
            assert!(answer.body.is_empty() && empty < 3, "the fourth in a row fails the pull");
        }
    });
    join_all(layers).await;
}

#[tokio::test]
async fn an_unrelated_pull_gets_its_slots_while_all_layers_of_another_wait() {
    let (network, _lead, node, stalled) = stalled_storm(4).await;
    let holder = Node::start(&network).await;
    let layers = [holder.hold(&noise(5000, 31)).await, holder.hold(&noise(5000, 32)).await];
    let small = Image { manifest: image(&holder, &layers, 5000).await, layers: layers.into() };
    let slots = Semaphore::new(SLOTS);
    let storm = pull(&node, &slots, &stalled);
    let unrelated = async {
        let started = Instant::now();
        while slots.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        pull(&node, &slots, &small).await;
        started.elapsed()
    };
    let ((), took) = tokio::join!(storm, unrelated);
    // Two rounds of slots, each behind the layers that were asked for before.
    let most = 5 * QUICK.crowded + Duration::from_millis(500);
    assert!(took < most, "{took:?}");
}

#[tokio::test]
async fn of_three_that_wait_one_makes_room_and_two_wait_on() {
    let (_network, _lead, node, Image { manifest: image, layers }) = stalled_storm(3).await;
    node.get(&manifest(&image), &[]).await;
    let started = Instant::now();
    let ended = join_all(layers.iter().map(async |layer| {
        let answer = node.get_blob(layer).await;
        (answer.status, answer.body.len(), answer.complete, started.elapsed() < QUICK.turn)
    }));
    let mut ended = ended.await;
    ended.sort_by_key(|(.., early)| !early);
    assert_eq!(ended[0], (StatusCode::OK, 0, false, true), "asked again at once");
    assert!(ended[1..].iter().all(|(.., early)| !early), "{ended:?}");
}

#[tokio::test]
async fn who_cannot_be_asked_again_makes_room_before_its_deadline() {
    let (_network, _lead, node, Image { layers, .. }) = stalled_storm(3).await;
    // Nobody told this node the sizes, so an empty answer cannot be made.
    let started = Instant::now();
    let ended = join_all(layers.iter().map(async |layer| {
        assert_eq!(node.get_blob(layer).await.status, StatusCode::NOT_FOUND);
        started.elapsed()
    }));
    let first = ended.await.into_iter().min().unwrap();
    let room = QUICK.crowded + QUICK.first_byte / 2;
    assert!(first >= room && first < QUICK.first_byte, "{first:?}");
}

#[tokio::test]
async fn a_small_answer_is_left_to_the_registry_rather_than_waited_for_as_the_third() {
    let (network, lead, node, Image { layers, .. }) = stalled_storm(2).await;
    let small = Digest::sha256(b"a config that its lead never gets");
    assert_eq!(lead.get_blob(&small).await.status, StatusCode::NOT_FOUND, "it leads");
    let holder = Node::start(&network).await;
    let image = image(&holder, &[small], 1000).await;
    node.get(&manifest(&image), &[]).await;
    let waiting = join_all(layers.iter().map(|layer| node.get_blob(layer)));
    let third = async {
        tokio::time::sleep(QUICK.crowded / 2).await;
        let started = Instant::now();
        assert_eq!(node.get_blob(&small).await.status, StatusCode::NOT_FOUND);
        started.elapsed()
    };
    let (_, took) = timeout(2 * QUICK.first_byte, async { tokio::join!(waiting, third) })
        .await
        .expect("all are answered");
    assert!(took < QUICK.turn, "{took:?}");
}
