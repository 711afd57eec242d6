//! What every sink promises about blobs that it does not take.

use tokio::time::timeout;

use super::{DEADLINE, SinkFixture, append, blob, has, is_here, open, put};
use crate::{
    Digest,
    sink::{Part, SinkError, SinkWriter},
};

/// Runs this part of the suite.
pub(super) async fn conforms(fixture: &dyn SinkFixture) {
    a_blob_has_one_writer_at_a_time(fixture).await;
    a_complete_blob_is_complete(fixture).await;
    wrong_bytes_never_become_a_blob(fixture).await;
    missing_bytes_never_become_a_blob(fixture).await;
    more_bytes_than_the_blob_has_start_again(fixture).await;
    what_was_aborted_starts_again(fixture).await;
}

async fn a_blob_has_one_writer_at_a_time(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 20);
    let mut first = open(fixture, &part).await;
    append(&mut *first, bytes.slice(..1)).await;
    let other_image = Part { image: Digest::sha256(b"another"), ..part.clone() };
    for second in [&part, &other_image] {
        let opened = timeout(DEADLINE, fixture.sink().open(second)).await.unwrap();
        assert!(matches!(opened.err(), Some(SinkError::Busy(busy)) if busy == part.digest));
    }
    append(&mut *first, bytes.slice(1..2)).await;
    first.close().await;
    let second = open(fixture, &other_image).await;
    assert_eq!(second.at(), 2, "an ingest is the blob's, not the image's");
    second.abort().await.unwrap();
}

async fn a_complete_blob_is_complete(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 21);
    put(fixture, &part, bytes).await;
    let other_image = Part { image: Digest::sha256(b"another"), ..part.clone() };
    for again in [part, other_image] {
        let opened = fixture.sink().open(&again).await;
        assert!(matches!(opened.err(), Some(SinkError::Complete(it)) if it == again.digest));
    }
}

async fn wrong_bytes_never_become_a_blob(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 22);
    let part = Part { digest: Digest::sha256(b"of other bytes"), ..part };
    let mut writer = open(fixture, &part).await;
    append(&mut *writer, bytes).await;
    gone_after_commit(fixture, writer, &part).await;
}

async fn missing_bytes_never_become_a_blob(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 23);
    let mut writer = open(fixture, &part).await;
    append(&mut *writer, bytes.slice(..999)).await;
    gone_after_commit(fixture, writer, &part).await;
}

async fn gone_after_commit(fixture: &dyn SinkFixture, writer: Box<dyn SinkWriter>, part: &Part) {
    let committed = timeout(DEADLINE, writer.commit()).await.unwrap();
    assert!(
        matches!(committed, Err(SinkError::Mismatch(it)) if it == part.digest),
        "{committed:?}"
    );
    let next = open(fixture, part).await;
    assert_eq!(next.at(), 0, "the wrong bytes are gone");
    next.abort().await.unwrap();
    assert!(!is_here(fixture, &part.digest).await);
}

async fn more_bytes_than_the_blob_has_start_again(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 25);
    let part = Part { size: 999, ..part };
    let mut writer = open(fixture, &part).await;
    append(&mut *writer, bytes).await;
    writer.close().await;
    let writer = open(fixture, &part).await;
    assert_eq!(writer.at(), 0);
    writer.abort().await.unwrap();
}

async fn what_was_aborted_starts_again(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 24);
    let mut writer = open(fixture, &part).await;
    append(&mut *writer, bytes.slice(..400)).await;
    has(fixture, &part, 400).await;
    timeout(DEADLINE, writer.abort()).await.unwrap().unwrap();
    let mut follower = fixture.store().follow(&part.digest);
    timeout(DEADLINE, follower.wait_for(Option::is_none)).await.unwrap().unwrap();
    let writer = open(fixture, &part).await;
    assert_eq!(writer.at(), 0);
    writer.abort().await.unwrap();
}
