//! What every [`Sink`] promises.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{TryStreamExt, join};
use tokio::time::{sleep, timeout};

use crate::{
    Digest, Sink, Store,
    sink::{Part, Role, SinkError, SinkWriter},
    store::{Opened, Presence, READ_CHUNK, StoreError},
};

mod leases;
mod refusals;

/// A real runtime carries out everything within this time, even on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A sink under test, the store that it writes into, and the hand that collects garbage there.
#[async_trait]
pub trait SinkFixture: Send + Sync {
    /// The store, which shows what the sink writes.
    fn store(&self) -> Arc<dyn Store>;
    /// The sink under test.
    fn sink(&self) -> Arc<dyn Sink>;
    /// Has everything dropped that nothing keeps; returns when that is done.
    async fn collect_garbage(&self);
}

/// Runs the whole suite.
pub async fn conforms(fixture: &dyn SinkFixture) {
    for (role, seed) in [(Role::Index, 0), (Role::Manifest, 1), (Role::Config, 2), (Role::Layer, 3)]
    {
        what_is_written_is_followed_while_it_arrives(fixture, role, seed).await;
    }
    a_closed_writer_leaves_its_bytes_to_the_next(fixture).await;
    a_dropped_writer_does_too(fixture).await;
    readers_follow_from_one_writer_to_the_next(fixture).await;
    refusals::conforms(fixture).await;
    leases::conforms(fixture).await;
}

async fn what_is_written_is_followed_while_it_arrives(
    fixture: &dyn SinkFixture,
    role: Role,
    seed: u8,
) {
    let (bytes, part) = blob(3 * READ_CHUNK + 17, seed);
    let part = Part { role, ..part };
    let mut writer = open(fixture, &part).await;
    assert_eq!(writer.at(), 0);
    append(&mut *writer, bytes.slice(..READ_CHUNK)).await;
    has(fixture, &part, READ_CHUNK).await;
    let stream = fixture.store().open(&part.digest, 0).await.unwrap();
    let write = async {
        append(&mut *writer, bytes.slice(READ_CHUNK..)).await;
        assert_eq!(writer.at(), part.size);
        timeout(DEADLINE, writer.commit()).await.unwrap().unwrap();
    };
    let (read, ()) = join!(read(stream), write);
    assert!(read == bytes, "a {role:?} is read as it was written");
    let complete = Some(Presence::Complete { size: part.size });
    assert_eq!(fixture.store().stat(&part.digest).await.unwrap(), complete);
}

async fn a_closed_writer_leaves_its_bytes_to_the_next(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(READ_CHUNK, 10);
    let mut at = 0;
    for reached in [1, 1000, READ_CHUNK] {
        let mut writer = open(fixture, &part).await;
        assert_eq!(writer.at(), at as u64);
        append(&mut *writer, bytes.slice(at..reached)).await;
        at = reached;
        timeout(DEADLINE, writer.close()).await.unwrap();
    }
    let writer = open(fixture, &part).await;
    assert_eq!(writer.at(), part.size, "only the commit is left to do");
    timeout(DEADLINE, writer.commit()).await.unwrap().unwrap();
    assert!(read(fixture.store().open(&part.digest, 0).await.unwrap()).await == bytes);
}

async fn a_dropped_writer_does_too(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 11);
    let mut writer = open(fixture, &part).await;
    append(&mut *writer, bytes.slice(..400)).await;
    has(fixture, &part, 400).await;
    drop(writer);
    let again = async {
        loop {
            match fixture.sink().open(&part).await {
                Ok(writer) => return writer,
                Err(SinkError::Busy(_)) => sleep(Duration::from_millis(20)).await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    let mut writer = timeout(DEADLINE, again).await.expect("it lets go by itself");
    assert_eq!(writer.at(), 400);
    append(&mut *writer, bytes.slice(400..)).await;
    timeout(DEADLINE, writer.commit()).await.unwrap().unwrap();
}

async fn readers_follow_from_one_writer_to_the_next(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(2 * READ_CHUNK, 12);
    let mut writer = open(fixture, &part).await;
    append(&mut *writer, bytes.slice(..READ_CHUNK)).await;
    has(fixture, &part, READ_CHUNK).await;
    let stream = fixture.store().open(&part.digest, 0).await.unwrap();
    let write = async {
        writer.close().await;
        let mut writer = open(fixture, &part).await;
        append(&mut *writer, bytes.slice(READ_CHUNK..)).await;
        writer.commit().await.unwrap();
    };
    let (read, written) = join!(read(stream), timeout(DEADLINE, write));
    written.unwrap();
    assert!(read == bytes);
}

/// A blob of an image of its own, which differs from those of other `seed`s.
fn blob(size: usize, seed: u8) -> (Bytes, Part) {
    let bytes: Bytes = [b's', seed].into_iter().chain((0..=250).cycle()).take(size).collect();
    let (image, digest) = (Digest::sha256(&[seed]), Digest::sha256(&bytes));
    (bytes, Part { image, role: Role::Layer, digest, size: size as u64 })
}

async fn open(fixture: &dyn SinkFixture, part: &Part) -> Box<dyn SinkWriter> {
    timeout(DEADLINE, fixture.sink().open(part)).await.unwrap().unwrap()
}

async fn append(writer: &mut dyn SinkWriter, bytes: Bytes) {
    timeout(DEADLINE, writer.append(bytes)).await.unwrap().unwrap();
}

/// Writes a whole blob.
async fn put(fixture: &dyn SinkFixture, part: &Part, bytes: Bytes) {
    let mut writer = open(fixture, part).await;
    append(&mut *writer, bytes).await;
    timeout(DEADLINE, writer.commit()).await.unwrap().unwrap();
}

async fn read(stream: Opened) -> Vec<u8> {
    let chunks: Vec<Bytes> = timeout(DEADLINE, stream.try_collect()).await.unwrap().unwrap();
    chunks.concat()
}

/// Waits until the store has noticed so many bytes of an unfinished blob.
async fn has(fixture: &dyn SinkFixture, part: &Part, bytes: usize) {
    let seen = Some(Presence::Growing { have: bytes as u64, total: Some(part.size) });
    let mut follower = fixture.store().follow(&part.digest);
    let waited = timeout(DEADLINE, follower.wait_for(|now| *now == seen)).await.is_ok();
    assert!(waited, "the store stays at {:?}", *follower.borrow());
}

/// Whether the store can serve the blob.
async fn is_here(fixture: &dyn SinkFixture, digest: &Digest) -> bool {
    match fixture.store().open(digest, 0).await {
        Ok(_) => true,
        Err(StoreError::Absent(_)) => false,
        Err(other) => panic!("{other}"),
    }
}
