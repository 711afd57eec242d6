//! Downloads that are followed while they arrive, in real containerds.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{TryStreamExt, future::join_all, join};
use onepull_agent::containerd::{ContainerdStore, Pace};
use onepull_mirror::{
    Digest, Store,
    store::{Opened, Presence},
    testing::store::{Ingest, a_stalled_ingest_ends_its_readers as ends_its_readers},
};
use onepull_testbed::{
    Layout, Registry, Requirement, Version,
    containerd::Options,
    layout::{Blob, Compression, Spec},
    registry, skip,
};
use tokio::{sync::watch, time::timeout};

use crate::{
    ingest::Writing,
    plain_http,
    runtime::{LIMIT, Node},
    slow,
};

/// Longer than a restart of containerd takes.
const PATIENT: Pace = Pace {
    apart: Duration::from_millis(200),
    settle: Duration::from_secs(5),
    audit: Duration::from_secs(60),
    stall: LIMIT,
};

/// Fetched in parallel, a layer comes in pieces of this size.
const PIECE: u64 = 8 << 20;

pub(crate) async fn a_stalled_ingest_ends_its_readers(version: Version) {
    let pace = Pace { stall: Duration::from_millis(300), ..Pace::default() };
    ends_its_readers(&Node::with(version, Options::default(), pace).await).await;
}

pub(crate) async fn an_ingest_that_was_there_before_counts_once_it_grows(version: Version) {
    let node = Node::start(version).await;
    let digest = Digest::sha256(b"12");
    let mut writing = begin(&node, digest).await;
    writing.append(Bytes::from_static(b"1")).await;
    reaches(&node.store, &digest, Some(1)).await;

    let (tasks, stop) = (node.tasks.clone(), node.stop.clone());
    let socket = node.containerd.socket();
    let late = ContainerdStore::connect(&socket, Pace::default(), &tasks, stop).await.unwrap();
    timeout(LIMIT, late.listed()).await.unwrap();
    let probe = Digest::sha256(b"a download that it sees");
    begin(&node, probe).await.append(Bytes::from_static(b"a")).await;
    reaches(&late, &probe, Some(1)).await;
    assert_eq!(late.stat(&digest).await.unwrap(), None);

    writing.append(Bytes::from_static(b"2")).await;
    reaches(&late, &digest, Some(2)).await;
    let stream = late.open(&digest, 0).await.unwrap();
    Box::new(writing).commit().await;
    assert_eq!(all(stream).await, b"12");
}

pub(crate) async fn downloads_of_another_namespace_are_not_followed(version: Version) {
    let node = Node::start(version).await;
    let [foreign, ours] = [b"foreign", b"of ours"].map(|bytes| Digest::sha256(bytes));
    node.write("moby", foreign, 100, b"a first part").await;
    begin(&node, ours).await.append(Bytes::from_static(b"of")).await;
    reaches(&node.store, &ours, Some(2)).await;
    assert_eq!(*node.store.follow(&foreign).borrow(), None);
    assert_eq!(node.store.stat(&foreign).await.unwrap(), None);
}

pub(crate) async fn a_reader_outlives_a_restart_of_containerd(version: Version) {
    let mut node = Node::with(version, Options::default(), PATIENT).await;
    let digest = Digest::sha256(b"1234");
    let mut writing = begin(&node, digest).await;
    writing.append(Bytes::from_static(b"12")).await;
    reaches(&node.store, &digest, Some(2)).await;
    let stream = node.store.open(&digest, 0).await.unwrap();
    node.containerd.kill();
    node.containerd.restart().await.unwrap();
    let mut writing = begin(&node, digest).await;
    writing.append(Bytes::from_static(b"34")).await;
    Box::new(writing).commit().await;
    assert_eq!(all(stream).await, b"1234");
}

pub(crate) async fn a_slow_pull_is_followed(version: Version) {
    follow_a_pull(version, None).await;
}

pub(crate) async fn a_pull_in_parallel_pieces_is_followed(version: Version) {
    if version == Version::V2_2 {
        follow_a_pull(version, Some(PIECE)).await;
    }
}

/// A pull from a slow registry; every layer is read while it arrives.
async fn follow_a_pull(version: Version, parallel_fetch: Option<u64>) {
    if skip("follow_a_pull", &[Requirement::Registry]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec { layers: vec![20 << 20, 3 << 20], seed: 5, compression: Compression::Gzip };
    let layout = Layout::generate(&folder.path().join("image"), &spec).unwrap();
    let registry = Registry::start(registry::Options::default()).await.unwrap();
    registry.push(&layout, "team/app", "v1").await.unwrap();
    let slow = slow::Relay::start(registry.addr()).await;
    plain_http(folder.path(), &slow.name());
    let hosts_dir = Some(folder.path().to_owned());
    let options = Options { hosts_dir, parallel_fetch, ..Default::default() };
    let node = Node::with(version, options, Pace::default()).await;

    let name = format!("{}/team/app:v1", slow.name());
    let mut cri = node.containerd.cri().await.unwrap();
    // The manifest and the config come first.
    let layers = layout.blobs().split_off(2);
    let readers = layers.iter().map(|layer| read_while_it_arrives(&node, layer, &layout));
    let (pulled, _) = join!(cri.pull(&name), join_all(readers));
    pulled.unwrap();
    let in_pieces = registry.requests().unwrap().iter().any(|request| request.status == 206);
    assert_eq!(in_pieces, parallel_fetch.is_some());
}

async fn read_while_it_arrives(node: &Node, layer: &Blob, layout: &Layout) {
    let digest: Digest = layer.digest.to_string().parse().unwrap();
    let mut follower = node.store.follow(&digest);
    let seen = *timeout(LIMIT, follower.wait_for(Option::is_some)).await.unwrap().unwrap();
    let early = |have: u64, total| have < layer.size / 2 && total == Some(layer.size);
    assert!(
        matches!(seen, Some(Presence::Growing { have, total }) if early(have, total)),
        "seen late: {seen:?}"
    );
    let read = all(node.store.open(&digest, 0).await.unwrap()).await;
    assert!(read == std::fs::read(layout.blob(&layer.digest)).unwrap());
    let complete = |now: &Option<Presence>| now.is_some_and(|now| now.complete().is_some());
    timeout(LIMIT, follower.wait_for(complete)).await.unwrap().unwrap();
}

async fn begin(node: &Node, digest: Digest) -> Writing {
    Writing::begin(node.containerd.channel().await.unwrap(), digest, None).await
}

async fn reaches(store: &Arc<ContainerdStore>, digest: &Digest, bytes: Option<u64>) {
    let mut follower: watch::Receiver<_> = store.follow(digest);
    let growing = bytes.map(|have| Presence::Growing { have, total: None });
    timeout(LIMIT, follower.wait_for(|now| *now == growing)).await.unwrap().unwrap();
}

async fn all(stream: Opened) -> Vec<u8> {
    let chunks: Vec<Bytes> = timeout(LIMIT, stream.try_collect()).await.unwrap().unwrap();
    chunks.concat()
}
