//! What followers get of a blob that passes, beside a store that is behind.

use std::{io, pin::pin};

use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::{
    task::yield_now,
    time::{Duration, timeout},
};

use super::*;
use crate::store::{FolderStore, FolderWriter, STALL};

const MIB: usize = 1 << 20;

struct Node {
    relay: Arc<Relay>,
    store: Arc<FolderStore>,
    blob: Vec<u8>,
    digest: Digest,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new(size: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open_or_create(folder.path()).unwrap());
        let blob: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let digest = Digest::sha256(&blob);
        Self { relay: Relay::new(store.clone()), store, blob, digest, _folder: folder }
    }

    fn begin(&self, at: usize) -> Option<Passing> {
        self.relay.begin(self.digest, at as u64, self.blob.len() as u64)
    }

    /// Bytes of the blob pass.
    fn pass(&self, passing: &mut Passing, part: std::ops::Range<usize>) {
        passing.push(&Bytes::copy_from_slice(&self.blob[part]), Instant::now());
    }

    /// A runtime that writes the blob.
    async fn runtime(&self) -> FolderWriter {
        let writer = self.store.write(self.digest).await.unwrap();
        writer.with_total(self.blob.len() as u64)
    }

    async fn read(&self, from: usize) -> Opened {
        self.relay.open(&self.digest, from as u64).await.unwrap()
    }
}

/// The next bytes, if they are there.
fn soon(stream: &mut Opened) -> Option<Bytes> {
    stream.next().now_or_never().map(|next| next.unwrap().unwrap())
}

async fn rest(stream: Opened) -> io::Result<Vec<u8>> {
    Ok(stream.try_collect::<Vec<_>>().await?.concat())
}

#[tokio::test(start_paused = true)]
async fn a_follower_gets_what_passes_before_the_runtime_has_written_it() {
    let node = Node::new(1000);
    let mut passing = node.begin(0).unwrap();
    let mut stream = node.read(0).await;
    assert_eq!(soon(&mut stream), None);
    node.pass(&mut passing, 0..400);
    assert_eq!(stream.next().await.unwrap().unwrap(), node.blob[..400]);
    node.pass(&mut passing, 400..1000);
    assert_eq!(rest(stream).await.unwrap(), node.blob[400..], "to its end, with nothing stored");
}

#[tokio::test]
async fn a_follower_that_is_far_behind_reads_the_store_until_it_has_caught_up() {
    let node = Node::new(8 * MIB);
    let mut passing = node.begin(0).unwrap();
    let late = node.read(0).await;
    let mut runtime = node.runtime().await;
    for part in 0..8 {
        node.pass(&mut passing, part * MIB..(part + 1) * MIB);
    }
    runtime.append(&node.blob[..7 * MIB]).await.unwrap();
    assert_eq!(rest(late).await.unwrap(), node.blob, "the last bytes are only in memory");
}

#[tokio::test]
async fn when_nothing_passes_any_more_followers_go_on_from_the_store() {
    let node = Node::new(1000);
    let mut passing = node.begin(0).unwrap();
    let mut runtime = node.runtime().await;
    runtime.append(&node.blob[..1]).await.unwrap();
    let mut stream = node.read(0).await;
    yield_now().await;
    node.pass(&mut passing, 0..500);
    let first = stream.next().await.unwrap().unwrap();
    drop(passing);
    runtime.append(&node.blob[1..]).await.unwrap();
    runtime.commit().await.unwrap();
    let rest = rest(stream).await.unwrap();
    assert_eq!([&first[..], &rest].concat(), node.blob);
}

#[tokio::test]
async fn a_download_that_was_interrupted_passes_on_to_the_same_followers() {
    let node = Node::new(1000);
    let mut runtime = node.runtime().await;
    let mut passing = node.begin(0).unwrap();
    let mut stream = node.read(0).await;
    let mut read = Vec::new();
    node.pass(&mut passing, 0..300);
    read.extend_from_slice(&stream.next().await.unwrap().unwrap());
    drop(passing);
    runtime.append(&node.blob[..300]).await.unwrap();
    let mut passing = node.begin(300).unwrap();
    let next = async { stream.next().await.unwrap().unwrap() };
    let pass = async { node.pass(&mut passing, 300..1000) };
    let (bytes, ()) = tokio::join!(next, pass);
    read.extend_from_slice(&bytes);
    assert_eq!(read, node.blob);
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_told_in_time_when_nothing_passes() {
    let node = Node::new(1000);
    let mut passing = node.begin(0).unwrap();
    node.pass(&mut passing, 0..1);
    let stream = node.read(1).await;
    let start = Instant::now();
    assert_eq!(rest(stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), STALL);
}

#[tokio::test(start_paused = true)]
async fn small_steps_are_passed_on_soon() {
    let node = Node::new(1000);
    let mut passing = node.begin(0).unwrap();
    let reader = rest(node.read(0).await);
    let writer = async {
        for at in 0..1000 {
            node.pass(&mut passing, at..at + 1);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let start = Instant::now();
    let (read, ()) = tokio::join!(reader, writer);
    assert_eq!(read.unwrap(), node.blob);
    assert!(start.elapsed() < Duration::from_millis(1050), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_waits_is_let_in_with_the_first_byte() {
    let node = Node::new(1000);
    let mut waits = pin!(node.relay.passes(&node.digest, 0));
    assert_eq!(waits.as_mut().now_or_never(), None);
    let mut passing = node.begin(0).unwrap();
    assert_eq!(node.relay.presence(&node.digest), None);
    assert_eq!(waits.as_mut().now_or_never(), None);
    node.pass(&mut passing, 0..10);
    assert_eq!(waits.await, 1000);
    let have = Presence::Growing { have: 10, total: Some(1000) };
    assert_eq!(node.relay.presence(&node.digest), Some(have));
}

#[tokio::test(start_paused = true)]
async fn a_blob_passes_once_and_only_behind_what_is_stored() {
    let node = Node::new(1000);
    assert!(node.begin(1).is_none(), "its first byte is nowhere");
    let passing = node.begin(0);
    assert!(passing.is_some() && node.begin(0).is_none());
    drop(passing);
    let mut runtime = node.runtime().await;
    runtime.append(&node.blob[..10]).await.unwrap();
    assert!(node.begin(11).is_none());
    assert!(node.begin(10).is_some());
    let never = node.relay.passes(&node.digest, 0);
    assert!(timeout(STALL, never).await.is_err(), "nothing passes now");
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_by_windows_that_somebody_still_reads_too() {
    let node = Node::new(10);
    let digest = |number: usize| Digest::sha256(&number.to_be_bytes());
    let begin = |number| node.relay.begin(digest(number), 0, 100);
    let mut passing: Vec<_> = (0..WINDOWS).map(|number| begin(number).unwrap()).collect();
    assert!(begin(WINDOWS).is_none());
    let mut stream = node.relay.open(&digest(0), 0).await.unwrap();
    assert!(soon(&mut stream).is_none());
    drop(passing.remove(0));
    assert!(begin(WINDOWS).is_none(), "its reader has it still");
    drop(stream);
    assert!(begin(WINDOWS).is_some());
}

#[tokio::test]
async fn who_comes_late_waits_for_the_store_that_has_nothing_yet() {
    let node = Node::new(8 * MIB);
    let mut passing = node.begin(0).unwrap();
    for part in 0..8 {
        node.pass(&mut passing, part * MIB..(part + 1) * MIB);
    }
    let runtime = async {
        yield_now().await;
        let mut runtime = node.runtime().await;
        runtime.append(&node.blob).await.unwrap();
        runtime.commit().await.unwrap();
    };
    let (late, ()) = tokio::join!(rest(node.read(0).await), runtime);
    assert_eq!(late.unwrap(), node.blob);
}

#[tokio::test]
async fn the_first_bytes_are_kept_for_who_comes_a_moment_later() {
    let node = Node::new(8 * MIB);
    let mut passing = node.begin(0).unwrap();
    node.pass(&mut passing, 0..MIB);
    let mut late = node.read(0).await;
    assert_eq!(soon(&mut late).unwrap(), node.blob[..MIB]);
}
