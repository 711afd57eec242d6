//! What every sink promises about how long its blobs stay.

use super::{SinkFixture, append, blob, is_here, open, put};
use crate::{
    Digest,
    sink::{Part, SinkError},
};

/// Runs this part of the suite.
pub(super) async fn conforms(fixture: &dyn SinkFixture) {
    releasing_what_was_never_kept_changes_nothing(fixture).await;
    a_lease_keeps_what_was_written_until_it_is_released(fixture).await;
    a_blob_of_two_images_stays_until_both_are_released(fixture).await;
    what_is_unfinished_stays_as_long(fixture).await;
    an_image_is_listed_from_its_first_byte_until_it_is_released(fixture).await;
}

async fn releasing_what_was_never_kept_changes_nothing(fixture: &dyn SinkFixture) {
    fixture.sink().release(&Digest::sha256(b"never heard of")).await.unwrap();
}

async fn a_lease_keeps_what_was_written_until_it_is_released(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 30);
    let (other_bytes, other) = blob(1000, 31);
    put(fixture, &part, bytes.clone()).await;
    put(fixture, &other, other_bytes).await;
    fixture.collect_garbage().await;
    assert!(is_here(fixture, &part.digest).await, "its lease keeps it");
    fixture.sink().release(&part.image).await.unwrap();
    fixture.collect_garbage().await;
    assert!(!is_here(fixture, &part.digest).await, "nothing keeps it");
    assert!(is_here(fixture, &other.digest).await, "this is another image's");
    put(fixture, &part, bytes).await;
    fixture.collect_garbage().await;
    assert!(is_here(fixture, &part.digest).await, "a released image can be kept again");
}

async fn a_blob_of_two_images_stays_until_both_are_released(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 32);
    let other = Part { image: Digest::sha256(b"the other"), ..part.clone() };
    put(fixture, &part, bytes).await;
    let opened = fixture.sink().open(&other).await;
    assert!(matches!(opened.err(), Some(SinkError::Complete(_))));
    fixture.sink().release(&part.image).await.unwrap();
    fixture.collect_garbage().await;
    assert!(is_here(fixture, &part.digest).await, "who finds it complete keeps it too");
    fixture.sink().release(&other.image).await.unwrap();
    fixture.collect_garbage().await;
    assert!(!is_here(fixture, &part.digest).await);
}

async fn what_is_unfinished_stays_as_long(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 33);
    for (released, expected) in [(false, 400), (true, 0)] {
        let mut writer = open(fixture, &part).await;
        let at = usize::try_from(writer.at()).unwrap();
        append(&mut *writer, bytes.slice(at..400)).await;
        writer.close().await;
        if released {
            fixture.sink().release(&part.image).await.unwrap();
        }
        fixture.collect_garbage().await;
        let writer = open(fixture, &part).await;
        assert_eq!(writer.at(), expected, "released: {released}");
        writer.close().await;
    }
}

async fn an_image_is_listed_from_its_first_byte_until_it_is_released(fixture: &dyn SinkFixture) {
    let (bytes, part) = blob(1000, 34);
    let before = fixture.sink().kept().await.unwrap();
    assert!(!before.contains(&part.image));
    let mut writer = open(fixture, &part).await;
    append(&mut *writer, bytes.slice(..400)).await;
    writer.close().await;
    let mut with_it = before.clone();
    with_it.insert(part.image);
    assert_eq!(fixture.sink().kept().await.unwrap(), with_it);
    fixture.sink().release(&part.image).await.unwrap();
    assert_eq!(fixture.sink().kept().await.unwrap(), before);
}
