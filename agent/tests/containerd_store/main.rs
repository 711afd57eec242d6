//! The store over real containerds, releases 1.6 and 2.2.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use futures::{StreamExt, TryStreamExt};
use onepull_agent::containerd::{ContainerdError, ContainerdStore, Pace};
use onepull_mirror::{
    Digest, Store,
    store::{Presence, StoreError, StoreEvent},
    testing::store::conforms,
};
use onepull_testbed::{
    Containerd, Layout, Registry, Requirement, Version,
    containerd::Options,
    layout::{Compression, Spec},
    registry, skip,
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use growing::{
    a_pull_in_parallel_pieces_is_followed, a_reader_outlives_a_restart_of_containerd,
    a_slow_pull_is_followed, a_stalled_ingest_ends_its_readers,
    an_ingest_that_was_there_before_counts_once_it_grows,
    downloads_of_another_namespace_are_not_followed,
};
use images::it_keeps_the_promises_of_a_runtime;
use reserve::{
    a_pull_waits_for_reserved_layers_and_leaves_its_slots_to_others,
    a_reservation_that_its_containerd_did_not_outlive_is_over,
    a_reserved_layer_is_busy_until_it_is_released,
};
use runtime::{Node, requirements, until};
use sink::{
    a_blob_that_containerd_writes_is_busy, a_hung_containerd_hangs_nobody,
    it_goes_on_after_a_restart_of_containerd_and_of_the_agent, it_keeps_the_promises_of_a_sink,
    its_lease_says_whose_it_is, what_it_wrote_is_told_once_and_before_the_blob_is_complete,
};
use warm::{
    a_lease_keeps_layers_that_containerd_discards,
    a_pull_in_parallel_pieces_goes_on_at_its_byte_too,
    a_pull_of_what_was_written_before_fetches_nothing,
    a_pull_that_waits_for_a_writer_takes_its_commit,
    a_pull_waits_for_a_writer_and_goes_on_at_its_byte,
    an_image_stays_when_its_lease_is_released_after_its_pull,
    an_image_that_nobody_unpacked_is_not_found,
    layers_that_were_unpacked_ahead_are_not_unpacked_again,
    what_was_unpacked_for_no_pull_goes_with_the_image,
    wrong_bytes_that_a_pull_went_on_from_are_found_by_the_next_writer,
};

mod growing;
mod images;
mod ingest;
mod reserve;
mod runtime;
mod sink;
mod slow;
mod warm;

/// Each test below against each release.
macro_rules! on_both_releases {
    ($($name:ident)*) => {
        mod containerd_1_6 { on_both_releases!(@each V1_6 $($name)*); }
        mod containerd_2_2 { on_both_releases!(@each V2_2 $($name)*); }
    };
    (@each $version:ident $($name:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let version = onepull_testbed::Version::$version;
            let name = concat!(stringify!($version), " ", stringify!($name));
            if !onepull_testbed::skip(name, &crate::requirements(version)) {
                crate::$name(version).await;
            }
        }
    )* };
}

on_both_releases! {
    it_keeps_the_promises_of_a_store
    it_survives_a_restart_of_containerd
    it_may_start_before_containerd
    a_blob_that_no_image_names_is_seen
    a_blob_that_was_collected_is_forgotten_when_asked_for
    a_blob_whose_file_lost_its_end_is_not_served
    blobs_of_another_namespace_are_not_served
    an_unfinished_download_is_aborted
    a_pull_and_its_removal_are_followed
    a_socket_without_permission_is_refused
    its_tasks_end_when_told
    a_stalled_ingest_ends_its_readers
    an_ingest_that_was_there_before_counts_once_it_grows
    downloads_of_another_namespace_are_not_followed
    a_reader_outlives_a_restart_of_containerd
    a_slow_pull_is_followed
    a_pull_in_parallel_pieces_is_followed
    it_keeps_the_promises_of_a_sink
    a_blob_that_containerd_writes_is_busy
    it_goes_on_after_a_restart_of_containerd_and_of_the_agent
    its_lease_says_whose_it_is
    what_it_wrote_is_told_once_and_before_the_blob_is_complete
    a_pull_of_what_was_written_before_fetches_nothing
    an_image_stays_when_its_lease_is_released_after_its_pull
    a_pull_waits_for_a_writer_and_goes_on_at_its_byte
    a_pull_that_waits_for_a_writer_takes_its_commit
    wrong_bytes_that_a_pull_went_on_from_are_found_by_the_next_writer
    it_keeps_the_promises_of_a_runtime
    an_image_that_nobody_unpacked_is_not_found
    layers_that_were_unpacked_ahead_are_not_unpacked_again
    what_was_unpacked_for_no_pull_goes_with_the_image
    a_lease_keeps_layers_that_containerd_discards
    a_pull_in_parallel_pieces_goes_on_at_its_byte_too
    a_reserved_layer_is_busy_until_it_is_released
    a_reservation_that_its_containerd_did_not_outlive_is_over
    a_pull_waits_for_reserved_layers_and_leaves_its_slots_to_others
}

mod a_hung_containerd {
    use onepull_testbed::{Version, skip};

    #[tokio::test]
    async fn of_1_6_hangs_nobody() {
        hangs_nobody("of_1_6_hangs_nobody", Version::V1_6).await;
    }

    #[tokio::test]
    async fn of_2_2_hangs_nobody() {
        hangs_nobody("of_2_2_hangs_nobody", Version::V2_2).await;
    }

    async fn hangs_nobody(name: &str, version: Version) {
        if !skip(name, &crate::requirements(version)) {
            crate::a_hung_containerd_hangs_nobody(version).await;
        }
    }
}

async fn it_keeps_the_promises_of_a_store(version: Version) {
    conforms(&Node::start(version).await).await;
}

async fn it_survives_a_restart_of_containerd(version: Version) {
    let mut node = Node::start(version).await;
    let before = node.ingest(b"before the restart").await;
    assert_eq!(stat(&node, &before).await, Some(18));

    node.containerd.kill();
    until("the loss is noticed", async || !node.store.is_connected()).await;
    assert_eq!(stat(&node, &before).await, Some(18), "its files are still there");
    assert_eq!(read(&node, &before).await, b"before the restart");
    let unknown = node.store.stat(&Digest::sha256(b"unknown")).await;
    assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");

    node.containerd.restart().await.unwrap();
    let missed = node.ingest(b"while nobody listened").await;
    until("it is connected again", async || node.store.is_connected()).await;
    until("it has listed again", async || {
        node.store.watch().snapshot == BTreeMap::from([(before, 18), (missed, 21)])
    })
    .await;
}

async fn it_may_start_before_containerd(version: Version) {
    let folder = tempfile::Builder::new().prefix("onepull-").tempdir().unwrap();
    let socket = folder.path().join("containerd.sock");
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let store = ContainerdStore::connect(&socket, Pace::default(), &tasks, stop).await.unwrap();
    let digest = Digest::sha256(b"early");
    assert!(!store.is_connected());
    assert_eq!(store.stat(&digest).await.unwrap(), None);
    assert!(matches!(store.open(&digest, 0).await.err(), Some(StoreError::Absent(_))));
    store.abort(&digest).await.unwrap();

    let options = Options { folder: Some(folder.path().to_owned()), ..Default::default() };
    let containerd = Containerd::start(version, options).await.unwrap();
    assert_eq!(containerd.socket(), socket);
    containerd.content().await.unwrap().ingest(b"early").await.unwrap();
    timeout(Duration::from_secs(30), store.listed()).await.unwrap();
    assert_eq!(store.stat(&digest).await.unwrap(), Some(Presence::Complete { size: 5 }));
}

async fn a_blob_that_no_image_names_is_seen(version: Version) {
    // Without an event, 1.6 lists it at the next audit only.
    let pace = Pace { audit: Duration::from_secs(1), ..Pace::default() };
    let node = Node::with(version, Options::default(), pace).await;
    let mut watch = node.store.watch();
    let digest = node.ingest(b"imported").await;
    let event = timeout(Duration::from_secs(30), watch.events.next()).await.unwrap();
    assert_eq!(event, Some(StoreEvent::Added { digest, size: 8 }));
    let at_once = node.ingest(b"asked for at once").await;
    assert_eq!(stat(&node, &at_once).await, Some(17));
    assert_eq!(read(&node, &at_once).await, b"asked for at once");
}

async fn a_blob_that_was_collected_is_forgotten_when_asked_for(version: Version) {
    let node = Node::start(version).await;
    let digest = node.ingest(b"soon gone").await;
    assert_eq!(stat(&node, &digest).await, Some(9));
    fs::remove_file(node.containerd.blob(&digest.to_string().parse().unwrap())).unwrap();
    let opened = node.store.open(&digest, 0).await;
    assert!(matches!(opened.err(), Some(StoreError::Absent(absent)) if absent == digest));
    assert_eq!(node.store.watch().snapshot, BTreeMap::new());
}

async fn a_blob_whose_file_lost_its_end_is_not_served(version: Version) {
    let node = Node::start(version).await;
    let digest = node.ingest(b"cut short").await;
    let path = node.containerd.blob(&digest.to_string().parse().unwrap());
    // containerd makes its blobs read-only, but this is root.
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(3).unwrap();
    let opened = node.store.open(&digest, 0).await.err();
    assert!(matches!(opened, Some(StoreError::Length { expected: 9, found: 3, .. })), "{opened:?}");
}

async fn blobs_of_another_namespace_are_not_served(version: Version) {
    let node = Node::start(version).await;
    let digest = Digest::sha256(b"somebody else's");
    node.write("moby", digest, 15, b"somebody else's").await;
    assert!(node.containerd.blob(&digest.to_string().parse().unwrap()).exists());
    assert_eq!(stat(&node, &digest).await, None);
    let opened = node.store.open(&digest, 0).await;
    assert!(matches!(opened.err(), Some(StoreError::Absent(absent)) if absent == digest));
    assert_eq!(node.store.watch().snapshot, BTreeMap::new());
}

async fn an_unfinished_download_is_aborted(version: Version) {
    let node = Node::start(version).await;
    let [wrong, other] = [b"wrong", b"other"].map(|bytes| Digest::sha256(bytes));
    for digest in [wrong, other] {
        node.write("k8s.io", digest, 100, b"a first part").await;
    }
    node.store.abort(&wrong).await.unwrap();
    assert_eq!(node.ingests().await, [format!("layer-{other}")]);
}

async fn a_pull_and_its_removal_are_followed(version: Version) {
    if skip("a_pull_and_its_removal_are_followed", &[Requirement::Registry]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec { layers: vec![300_000, 5, 70_000], seed: 3, compression: Compression::Gzip };
    let layout = Layout::generate(&folder.path().join("image"), &spec).unwrap();
    let registry = Registry::start(registry::Options::default()).await.unwrap();
    registry.push(&layout, "team/app", "v1").await.unwrap();
    plain_http(folder.path(), &registry.name());
    let options = Options { hosts_dir: Some(folder.path().to_owned()), ..Default::default() };
    let node = Node::with(version, options, Pace::default()).await;

    let name = format!("{}/team/app:v1", registry.name());
    node.containerd.cri().await.unwrap().pull(&name).await.unwrap();
    until("the image is listed", async || {
        node.store.watch().snapshot.len() == layout.blobs().len()
    })
    .await;
    let held: u64 = node.store.watch().snapshot.values().sum();
    assert_eq!(held, layout.bytes());

    let mut content = node.containerd.content().await.unwrap();
    for name in content.images().await.unwrap() {
        content.delete_image(&name).await.unwrap();
    }
    until("its removal is noticed", async || node.store.watch().snapshot.is_empty()).await;
}

async fn a_socket_without_permission_is_refused(version: Version) {
    let node = Node::start(version).await;
    let socket = node.containerd.socket();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
    let refused = std::thread::spawn(move || {
        // Root may do anything, but not without this. It is of this thread alone.
        let mut own = capabilities(None).unwrap();
        own.effective.remove(CapabilitySet::DAC_OVERRIDE);
        set_capabilities(None, own).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        runtime
            .block_on(ContainerdStore::connect(&socket, Pace::default(), &tasks, stop))
            .unwrap_err()
    });
    let error = refused.join().unwrap();
    assert!(matches!(error, ContainerdError::PermissionDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("run as root"), "{error}");
}

async fn its_tasks_end_when_told(version: Version) {
    let node = Node::start(version).await;
    node.stop.cancel();
    node.tasks.close();
    timeout(Duration::from_secs(5), node.tasks.wait()).await.unwrap();
}

async fn stat(node: &Node, digest: &Digest) -> Option<u64> {
    let presence = node.store.stat(digest).await.unwrap();
    presence.map(|presence| presence.complete().unwrap())
}

async fn read(node: &Node, digest: &Digest) -> Vec<u8> {
    let stream = node.store.open(digest, 0).await.unwrap();
    let chunks: Vec<_> = stream.try_collect().await.unwrap();
    chunks.concat()
}

/// `hosts.toml` for a registry that speaks plain HTTP, as an administrator would write it.
fn plain_http(folder: &Path, registry: &str) {
    let folder = folder.join(registry);
    fs::create_dir_all(&folder).unwrap();
    let text = format!("server = {url:?}\n[host.{url:?}]\n", url = format!("http://{registry}"));
    fs::write(folder.join("hosts.toml"), text).unwrap();
}
