//! What every [`Store`] promises.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::time::timeout;

use crate::{
    Digest, Store,
    store::{Presence, READ_CHUNK, StoreError, StoreEvent},
};

mod growing;

pub use growing::a_stalled_ingest_ends_its_readers;

/// A real runtime tells of its changes within this time, even on a loaded machine.
const EVENT_DEADLINE: Duration = Duration::from_secs(30);

/// A store under test and the hand that changes it, as the runtime behind it would.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// The store under test.
    fn store(&self) -> Arc<dyn Store>;
    /// Adds a complete blob behind the store's back.
    async fn put(&self, bytes: Bytes) -> Digest;
    /// Deletes a blob behind the store's back.
    async fn delete(&self, digest: &Digest);
    /// Begins to write a blob behind the store's back; `total` is how long it will be, if the writer
    /// says so.
    async fn begin(&self, digest: Digest, total: Option<u64>) -> Box<dyn Ingest>;
}

/// A blob that is being written behind the store's back.
#[async_trait]
pub trait Ingest: Send {
    /// Writes the next bytes.
    async fn append(&mut self, bytes: Bytes);
    /// Makes the blob complete.
    async fn commit(self: Box<Self>);
    /// Gives it up.
    async fn abort(self: Box<Self>);
}

/// Runs the whole suite.
pub async fn conforms(fixture: &dyn StoreFixture) {
    an_absent_blob_is_absent(fixture).await;
    a_blob_streams_from_any_offset(fixture).await;
    watchers_see_each_change_once(fixture).await;
    aborting_what_is_not_there_changes_nothing(fixture).await;
    what_was_reserved_can_be_reserved_again(fixture).await;
    growing::conforms(fixture).await;
}

/// A store whose runtime would wait in a download slot reserves nothing.
async fn what_was_reserved_can_be_reserved_again(fixture: &dyn StoreFixture) {
    let (store, layer) = (fixture.store(), Digest::sha256(b"nobody ever stored this layer"));
    for _ in 0..2 {
        let Some(reservation) = store.reserve(&layer, 1).await else { return };
        assert!(store.reserve(&layer, 1).await.is_none());
        assert_eq!(store.stat(&layer).await.unwrap(), None);
        reservation.release().await;
    }
    let here = fixture.put(b"a layer that is here".as_slice().into()).await;
    assert!(store.reserve(&here, 20).await.is_none());
}

async fn an_absent_blob_is_absent(fixture: &dyn StoreFixture) {
    let absent = Digest::sha256(b"nobody ever stored this");
    assert_eq!(fixture.store().stat(&absent).await.unwrap(), None);
    assert_eq!(*fixture.store().follow(&absent).borrow(), None);
    let opened = fixture.store().open(&absent, 0).await;
    assert!(matches!(opened.err(), Some(StoreError::Absent(digest)) if digest == absent));
}

async fn a_blob_streams_from_any_offset(fixture: &dyn StoreFixture) {
    let bytes: Bytes = (0..=250).cycle().take(2 * READ_CHUNK + 17).collect();
    let digest = fixture.put(bytes.clone()).await;
    let size = bytes.len() as u64;
    assert_eq!(fixture.store().stat(&digest).await.unwrap(), Some(Presence::Complete { size }));
    assert_eq!(*fixture.store().follow(&digest).borrow(), Some(Presence::Complete { size }));
    for offset in [0, 1, READ_CHUNK, bytes.len() - 1, bytes.len()] {
        let stream = fixture.store().open(&digest, offset as u64).await.unwrap();
        let read: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert_eq!(read.concat(), bytes[offset..], "streaming from offset {offset}");
    }
}

async fn watchers_see_each_change_once(fixture: &dyn StoreFixture) {
    let before = fixture.put(Bytes::from_static(b"held before the watch")).await;
    expect_in_snapshot(fixture, &before).await;
    let mut watch = fixture.store().watch();
    let added = fixture.put(Bytes::from_static(b"added during the watch")).await;
    let event = timeout(EVENT_DEADLINE, watch.events.next()).await.unwrap();
    assert_eq!(event, Some(StoreEvent::Added { digest: added, size: 22 }));
    fixture.delete(&before).await;
    let event = timeout(EVENT_DEADLINE, watch.events.next()).await.unwrap();
    assert_eq!(event, Some(StoreEvent::Removed { digest: before }));
    let mut expected: BTreeMap<_, _> = watch.snapshot;
    expected.remove(&before);
    expected.insert(added, 22);
    assert_eq!(fixture.store().watch().snapshot, expected);
    assert_eq!(fixture.store().stat(&before).await.unwrap(), None);
    assert_eq!(*fixture.store().follow(&before).borrow(), None);
}

async fn aborting_what_is_not_there_changes_nothing(fixture: &dyn StoreFixture) {
    let held = fixture.put(Bytes::from_static(b"held")).await;
    fixture.store().abort(&held).await.unwrap();
    fixture.store().abort(&Digest::sha256(b"never heard of")).await.unwrap();
    assert_eq!(
        fixture.store().stat(&held).await.unwrap(),
        Some(Presence::Complete { size: 4 }),
        "abort touches no complete blob"
    );
}

/// A real store learns of a blob from its runtime's events; waits until it did.
async fn expect_in_snapshot(fixture: &dyn StoreFixture, digest: &Digest) {
    let mut watch = fixture.store().watch();
    while !watch.snapshot.contains_key(digest) {
        timeout(EVENT_DEADLINE, watch.events.next()).await.expect("an event for the blob");
        watch = fixture.store().watch();
    }
}
