//! Requests that wait for bytes while others of the node need its download slots.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use http::StatusCode;
use onepull_mirror::{Deadlines, Digest, router::MemoryNetwork};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    evil::{peer_until, stalled},
    support::{Answer, Node, QUICK, blob, manifest, noise},
};

/// containerd's slots for all its pulls.
const SLOTS: usize = 3;

/// Two rounds of slots, each behind two requests that were there before, and the same again for a busy
/// machine. A stall lasts longer.
const ROUNDS: Duration = QUICK.crowded.saturating_mul(10);

/// For how long a mirror keeps a stream for its runtime.
const BACK: Duration = Duration::from_secs(5);

/// For a stall that no deadline but the shortest ends.
const PATIENT: Deadlines = Deadlines {
    stall: Duration::from_secs(3),
    pause: Duration::from_secs(3),
    still: Duration::from_millis(750),
    ..QUICK
};

/// What the runtime asks for in a pull, in this order, each in a slot of its own.
struct Image {
    manifest: Digest,
    layers: Vec<Digest>,
}

/// A lead and a node that is to follow it; the lead is told to pull and never does. They are alone: a
/// node that came later might be the closest to their digests, and would know nothing of them.
async fn stalled_storm(layers: u8) -> (Node, Node, Image) {
    let network = MemoryNetwork::default();
    let (lead, node) = (Node::start(&network).await, Node::start(&network).await);
    let layers: Vec<_> = (0..layers).map(|layer| Digest::sha256(&[layer])).collect();
    let manifest = image(&node, &layers, 2 << 20).await;
    for layer in &layers {
        assert_eq!(lead.get_blob(layer).await.status, StatusCode::NOT_FOUND, "it leads");
    }
    (lead, node, Image { manifest, layers })
}

/// Makes `node` hold the manifest of an image, each of whose layers has `size` bytes.
pub(crate) async fn image(node: &Node, layers: &[Digest], size: u64) -> Digest {
    let layers = layers.iter().map(|digest| format!(r#"{{"digest":"{digest}","size":{size}}}"#));
    let layers = layers.collect::<Vec<_>>().join(",");
    let json = format!(r#"{{"schemaVersion":2,"layers":[{layers}]}}"#);
    node.hold(json.as_bytes()).await
}

/// Pulls as containerd does: each blob in a slot, and the rest of it in a later one when an answer ends
/// early. What the registry is asked for does not matter here, and costs no time.
async fn pull(node: &Node, slots: &Semaphore, image: &Image) {
    let slot = slots.acquire().await.unwrap();
    node.get(&manifest(&image.manifest), &[]).await;
    drop(slot);
    join_all(image.layers.iter().map(|layer| pull_layer(node, slots, layer))).await;
}

async fn pull_layer(node: &Node, slots: &Semaphore, layer: &Digest) {
    let (mut have, mut broken) = (0, 0);
    loop {
        let slot = slots.acquire().await.unwrap();
        let range = format!("bytes={have}-");
        let range = (have > 0).then_some(("range", range.as_str()));
        let answer = node.get(&blob(layer), range.as_slice()).await;
        drop(slot);
        if answer.status == StatusCode::NOT_FOUND || answer.complete {
            return;
        }
        have += answer.body.len();
        broken = if answer.body.is_empty() { broken + 1 } else { 1 };
        assert!(broken < 4, "the fourth break in a row fails the pull");
    }
}

/// How long a pull of `image` takes that begins when `slots` are all taken.
async fn pull_behind(node: &Node, slots: &Semaphore, image: &Image) -> Duration {
    while slots.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    pull(node, slots, image).await;
    started.elapsed()
}

#[tokio::test]
async fn an_unrelated_pull_gets_its_slots_while_all_layers_of_another_wait() {
    let (lead, node, large) = stalled_storm(4).await;
    let layers = [lead.hold(&noise(5000, 31)).await, lead.hold(&noise(5000, 32)).await];
    let small = Image { manifest: image(&lead, &layers, 5000).await, layers: layers.into() };
    let slots = Semaphore::new(SLOTS);
    let storm = pull(&node, &slots, &large);
    let ((), took) = tokio::join!(storm, pull_behind(&node, &slots, &small));
    assert!(took < ROUNDS, "{took:?}");
}

#[tokio::test]
async fn an_unrelated_pull_gets_its_slots_while_all_streams_of_another_stall_and_are_asked_for_once()
 {
    let network = MemoryNetwork::default();
    let node = Node::start_as(&network, PATIENT, |store| store, |router| Arc::new(router)).await;
    let layers: Vec<_> = (0..4).map(|layer| noise(4 << 20, 33 + 2 * layer)).collect();
    let mut asked = Vec::new();
    for layer in &layers {
        asked.push(peer_until(&network, layer, 2 << 20, stalled).await);
    }
    let layers: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
    let large = Image { manifest: image(&node, &layers, 4 << 20).await, layers };
    let holder = Node::start(&network).await;
    let layers = [holder.hold(&noise(5000, 37)).await, holder.hold(&noise(5000, 38)).await];
    let small = Image { manifest: image(&holder, &layers, 5000).await, layers: layers.into() };
    let slots = Semaphore::new(SLOTS);
    let storm = pull(&node, &slots, &large);
    let small = async {
        let took = pull_behind(&node, &slots, &small).await;
        let asked = asked.iter().map(|asked| asked.load(Ordering::Relaxed));
        (took, asked.max())
    };
    let ((), (took, asked)) = tokio::join!(storm, small);
    assert!(took < ROUNDS, "{took:?}");
    assert_eq!(asked, Some(1), "a stream that was set aside is taken up");
}

/// A node, and a blob of which its peer sends half and no more.
async fn half(seed: u64) -> (Node, Digest, Arc<AtomicUsize>) {
    let network = MemoryNetwork::default();
    let node = Node::start_as(&network, PATIENT, |store| store, |router| Arc::new(router)).await;
    let bytes = noise(4 << 20, seed);
    let asked = peer_until(&network, &bytes, 2 << 20, stalled).await;
    (node, Digest::sha256(&bytes), asked)
}

#[tokio::test]
async fn a_stream_that_stands_still_gives_its_slot_back_with_a_byte_each_time() {
    let (node, layer, asked) = half(41).await;
    let answer = node.get_blob(&layer).await;
    assert_eq!((answer.status, answer.complete), (StatusCode::OK, false));
    let have = answer.body.len();
    assert!(have > 1 << 20);
    for have in (have..).take(5) {
        let answer = rest(&node, &layer, have).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::PARTIAL_CONTENT, 1));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_stream_of_a_runtime_that_fetches_in_pieces_does_not_give_way() {
    let (node, layer, _) = half(45).await;
    let answer = rest(&node, &layer, 0).await;
    assert_eq!((answer.status, answer.complete), (StatusCode::OK, false));
    assert_eq!(answer.body.len(), 2 << 20, "all that came, when nobody brings more");
}

#[tokio::test]
async fn a_stream_that_the_runtime_does_not_come_back_to_is_let_go() {
    let (node, layer, asked) = half(43).await;
    let have = node.get_blob(&layer).await.body.len();
    // One that asks for another byte has begun anew.
    assert_eq!(rest(&node, &layer, have - 1).await.body.len(), 1);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    tokio::time::sleep(BACK + Duration::from_secs(1)).await;
    rest(&node, &layer, have).await;
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

async fn rest(node: &Node, layer: &Digest, first: usize) -> Answer {
    node.get(&blob(layer), &[("range", &format!("bytes={first}-"))]).await
}

#[tokio::test]
async fn of_three_that_wait_one_makes_room_and_two_wait_on() {
    let (_lead, node, Image { manifest: image, layers }) = stalled_storm(3).await;
    node.get(&manifest(&image), &[]).await;
    let started = Instant::now();
    let ended = join_all(layers.iter().map(async |layer| {
        let answer = node.get_blob(layer).await;
        (
            answer.status,
            answer.body.len(),
            answer.complete,
            started.elapsed() < QUICK.first_byte / 2,
        )
    }));
    let mut ended = ended.await;
    ended.sort_by_key(|(.., early)| !early);
    assert_eq!(ended[0], (StatusCode::OK, 0, false, true), "asked again at once");
    assert!(ended[1..].iter().all(|(.., early)| !early), "{ended:?}");
}

#[tokio::test]
async fn who_waits_for_a_lead_that_does_not_come_asks_again_before_its_deadline() {
    let (_lead, node, image) = stalled_storm(1).await;
    node.get(&manifest(&image.manifest), &[]).await;
    for _ in 0..2 {
        let answer = node.get_blob(&image.layers[0]).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
        assert!(!answer.complete);
    }
    let answer = node.get_blob(&image.layers[0]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "its runtime bears no more");
}

#[tokio::test]
async fn who_cannot_be_asked_again_makes_room_before_its_deadline() {
    let (_lead, node, Image { layers, .. }) = stalled_storm(3).await;
    // Nobody told this node the sizes, so an empty answer cannot be made.
    let started = Instant::now();
    let ended = join_all(layers.iter().map(async |layer| {
        assert_eq!(node.get_blob(layer).await.status, StatusCode::NOT_FOUND);
        started.elapsed()
    }));
    let first = ended.await.into_iter().min().unwrap();
    let room = QUICK.crowded + QUICK.first_byte / 3;
    assert!(first >= room && first < QUICK.first_byte, "{first:?}");
}

#[tokio::test]
async fn a_small_answer_is_left_to_the_registry_rather_than_waited_for_as_the_third() {
    let (lead, node, Image { layers, .. }) = stalled_storm(2).await;
    let small = Digest::sha256(b"a config that its lead never gets");
    assert_eq!(lead.get_blob(&small).await.status, StatusCode::NOT_FOUND, "it leads");
    let image = image(&lead, &[small], 1000).await;
    node.get(&manifest(&image), &[]).await;
    let waiting = join_all(layers.iter().map(|layer| node.get_blob(layer)));
    let third = async {
        // Both have their places by then.
        tokio::time::sleep(2 * QUICK.crowded).await;
        let started = Instant::now();
        assert_eq!(node.get_blob(&small).await.status, StatusCode::NOT_FOUND);
        started.elapsed()
    };
    let (_, took) = timeout(2 * QUICK.first_byte, async { tokio::join!(waiting, third) })
        .await
        .expect("all are answered");
    assert!(took < QUICK.first_byte / 2, "{took:?}");
}
