//! What every store promises about blobs that are still arriving.

use std::io;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all, join};
use tokio::{sync::watch, time::timeout};

use super::{EVENT_DEADLINE, StoreFixture};
use crate::{
    Digest,
    store::{Opened, Presence, READ_CHUNK, StoreError},
};

/// Runs this part of the suite.
pub(super) async fn conforms(fixture: &dyn StoreFixture) {
    a_blob_is_seen_once_it_grows(fixture).await;
    for total in [true, false] {
        readers_that_come_at_any_time_get_every_byte(fixture, total).await;
    }
    a_reader_that_sleeps_through_the_commit_gets_the_rest(fixture).await;
    an_aborted_ingest_ends_its_readers(fixture).await;
    an_attempt_after_an_aborted_one_is_followed(fixture).await;
}

async fn a_blob_is_seen_once_it_grows(fixture: &dyn StoreFixture) {
    let (bytes, digest) = blob(1000, 1);
    let store = fixture.store();
    let mut follower = store.follow(&digest);
    let mut ingest = fixture.begin(digest, Some(1000)).await;
    assert_eq!(store.stat(&digest).await.unwrap(), None, "only growth proves a download");
    let opened = store.open(&digest, 0).await;
    assert!(matches!(opened.err(), Some(StoreError::Absent(absent)) if absent == digest));
    ingest.append(bytes.slice(..300)).await;
    let seen = Presence::Growing { have: 300, total: Some(1000) };
    until(&mut follower, |now| now == Some(seen)).await;
    assert_eq!(store.stat(&digest).await.unwrap(), Some(seen));
    assert!(!store.watch().snapshot.contains_key(&digest), "it is not complete");
    ingest.append(bytes.slice(300..)).await;
    ingest.commit().await;
    until(&mut follower, |now| now == Some(Presence::Complete { size: 1000 })).await;
    assert_eq!(read(store.open(&digest, 0).await.unwrap()).await.unwrap(), bytes);
}

async fn readers_that_come_at_any_time_get_every_byte(fixture: &dyn StoreFixture, told: bool) {
    let (bytes, digest) = blob(3 * READ_CHUNK + 17, 2 + u8::from(told));
    let size = bytes.len();
    let total = told.then_some(size as u64);
    let mut ingest = fixture.begin(digest, total).await;
    let mut at = 0;
    let mut readers = Vec::new();
    for reached in [READ_CHUNK / 2, READ_CHUNK / 2 + 1, 2 * READ_CHUNK, size] {
        ingest.append(bytes.slice(at..reached)).await;
        at = reached;
        grown_to(fixture, &digest, at).await;
        for offset in [0, 1, at - 1, at, at + 1, size - 1, size] {
            let stream = fixture.store().open(&digest, offset as u64).await.unwrap();
            readers.push(async move { (offset, read(stream).await.unwrap()) });
        }
    }
    let (read, ()) = join!(join_all(readers), ingest.commit());
    for (offset, read) in read {
        assert!(read == bytes.get(offset..).unwrap_or_default(), "from {offset}");
    }
    let complete = Some(Presence::Complete { size: size as u64 });
    until(&mut fixture.store().follow(&digest), |now| now == complete).await;
}

async fn a_reader_that_sleeps_through_the_commit_gets_the_rest(fixture: &dyn StoreFixture) {
    let (bytes, digest) = blob(8 * READ_CHUNK, 4);
    let mut ingest = fixture.begin(digest, Some(bytes.len() as u64)).await;
    ingest.append(bytes.slice(..READ_CHUNK)).await;
    grown_to(fixture, &digest, READ_CHUNK).await;
    let mut stream = fixture.store().open(&digest, 0).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    ingest.append(bytes.slice(READ_CHUNK..)).await;
    ingest.commit().await;
    let complete = Some(Presence::Complete { size: bytes.len() as u64 });
    until(&mut fixture.store().follow(&digest), |now| now == complete).await;
    fixture.delete(&digest).await;
    let rest = read(stream).await.unwrap();
    assert!([first, rest.into()].concat() == bytes);
}

async fn an_aborted_ingest_ends_its_readers(fixture: &dyn StoreFixture) {
    let (bytes, digest) = blob(2 * READ_CHUNK, 5);
    let mut follower = fixture.store().follow(&digest);
    let mut ingest = fixture.begin(digest, Some(bytes.len() as u64)).await;
    ingest.append(bytes.slice(..READ_CHUNK)).await;
    grown_to(fixture, &digest, READ_CHUNK).await;
    let waiting = fixture.store().open(&digest, 0).await.unwrap();
    let (read, ()) = join!(read(waiting), ingest.abort());
    assert!(read.is_err(), "a broken download is never taken for a whole one");
    until(&mut follower, |now| now.is_none()).await;
    assert_eq!(fixture.store().stat(&digest).await.unwrap(), None);
    assert!(matches!(fixture.store().open(&digest, 0).await.err(), Some(StoreError::Absent(_))));
}

async fn an_attempt_after_an_aborted_one_is_followed(fixture: &dyn StoreFixture) {
    let (bytes, digest) = blob(1000, 6);
    let mut follower = fixture.store().follow(&digest);
    let mut ingest = fixture.begin(digest, None).await;
    ingest.append(bytes.slice(..900)).await;
    grown_to(fixture, &digest, 900).await;
    ingest.abort().await;
    until(&mut follower, |now| now.is_none()).await;
    let mut ingest = fixture.begin(digest, Some(1000)).await;
    ingest.append(bytes.slice(..10)).await;
    until(&mut follower, |now| now == Some(Presence::Growing { have: 10, total: Some(1000) }))
        .await;
    let stream = fixture.store().open(&digest, 0).await.unwrap();
    ingest.append(bytes.slice(10..)).await;
    let (read, ()) = join!(read(stream), ingest.commit());
    assert_eq!(read.unwrap(), bytes);
}

/// A reader that waits for an ingest that does not grow is told after the store's stall deadline.
/// Apart from the suite, because it takes that long: for a paused clock, or a store with a short one.
pub async fn a_stalled_ingest_ends_its_readers(fixture: &dyn StoreFixture) {
    let (bytes, digest) = blob(1000, 7);
    let mut ingest = fixture.begin(digest, Some(1000)).await;
    ingest.append(bytes.slice(..10)).await;
    grown_to(fixture, &digest, 10).await;
    let mut stream = fixture.store().open(&digest, 0).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), bytes.slice(..10));
    let stalled = stream.next().await.unwrap();
    assert_eq!(stalled.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(stream.next().await.is_none());
    ingest.abort().await;
}

/// A blob that differs from those of other `seed`s.
fn blob(size: usize, seed: u8) -> (Bytes, Digest) {
    let bytes: Bytes = std::iter::once(seed).chain((0..=250).cycle()).take(size).collect();
    let digest = Digest::sha256(&bytes);
    (bytes, digest)
}

async fn read(stream: Opened) -> io::Result<Vec<u8>> {
    let chunks: Vec<Bytes> = timeout(EVENT_DEADLINE, stream.try_collect()).await??;
    Ok(chunks.concat())
}

async fn grown_to(fixture: &dyn StoreFixture, digest: &Digest, bytes: usize) {
    let mut follower = fixture.store().follow(digest);
    let reached = |now| matches!(now, Some(Presence::Growing { have, .. }) if have == bytes as u64);
    until(&mut follower, reached).await;
}

/// Waits until the store has noticed; the panic says what it had noticed last.
async fn until(
    follower: &mut watch::Receiver<Option<Presence>>,
    holds: impl Fn(Option<Presence>) -> bool,
) {
    let waited = timeout(EVENT_DEADLINE, follower.wait_for(|now| holds(*now))).await;
    let noticed = waited.map(|noticed| noticed.map(|now| *now));
    assert!(matches!(noticed, Ok(Ok(_))), "the store stays at {:?}", *follower.borrow());
}
