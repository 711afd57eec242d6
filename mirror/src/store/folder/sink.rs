//! Writing into a folder ahead of any pull: the [`Sink`] of embedded nodes and of tests.
//!
//! A writer that steps aside leaves its file, and its hash so far, to the next one, which goes on at
//! that byte. Nothing unfinished outlives the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{FolderStore, FolderWriter, leases::Leases};
use crate::{
    Digest, Sink, Store,
    sink::{Part, SinkError, SinkWriter},
};

/// Writes into a [`FolderStore`]. Who writes there past it, by [`FolderStore::write`], is the runtime
/// of this fake: a blob that it has begun is busy, and one that it begins is taken over from here.
pub struct FolderSink {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<FolderStore>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    unfinished: BTreeMap<Digest, Slot>,
    leases: Leases,
}

/// A blob that is not complete.
enum Slot {
    /// Somebody writes it. Next: `Left`, or none.
    Taken,
    /// The next writer goes on where this one stopped. Next: `Taken`, or none.
    Left(Box<FolderWriter>),
}

/// A writer's hold on its slot, which it gives back when it is dropped.
struct Writing {
    shared: Arc<Shared>,
    digest: Digest,
    at: u64,
    /// Gone during a step, so that one that failed, or was cut off, leaves nothing to go on with.
    writer: Option<Box<FolderWriter>>,
}

// === impl FolderSink ===

impl FolderSink {
    /// Writes into `store`.
    pub fn new(store: Arc<FolderStore>) -> Self {
        Self { shared: Arc::new(Shared { store, books: Mutex::default() }) }
    }

    /// The images whose leases keep a blob.
    pub fn leases(&self, blob: &Digest) -> BTreeSet<Digest> {
        self.shared.lock().leases.of(blob)
    }

    /// Drops everything that no lease keeps, complete or left unfinished, as a runtime does now and
    /// then.
    ///
    /// # Errors
    /// What the file system said.
    pub fn collect_garbage(&self) -> io::Result<()> {
        let Books { unfinished, leases } = &mut *self.shared.lock();
        let kept = |digest: &Digest| !leases.of(digest).is_empty();
        unfinished.retain(|digest, slot| matches!(slot, Slot::Taken) || kept(digest));
        let complete = self.shared.store.watch().snapshot.into_keys();
        complete.filter(|digest| !kept(digest)).try_for_each(|gone| self.shared.store.remove(&gone))
    }
}

#[async_trait]
impl Sink for FolderSink {
    async fn open(&self, blob: &Part) -> Result<Box<dyn SinkWriter>, SinkError> {
        let digest = blob.digest;
        let left = self.shared.take(blob)?;
        let mut writing = Writing { shared: Arc::clone(&self.shared), digest, at: 0, writer: left };
        let writer = match writing.writer.take() {
            Some(left) => left,
            None => {
                let begun = self.shared.store.write(digest).await;
                Box::new(begun.map_err(|error| refused(digest, error))?.with_total(blob.size))
            }
        };
        writing.at = writer.written();
        writing.writer = Some(writer);
        Ok(Box::new(writing))
    }

    async fn release(&self, image: &Digest) -> Result<(), SinkError> {
        self.shared.lock().leases.end(image);
        Ok(())
    }

    async fn kept(&self) -> Result<BTreeSet<Digest>, SinkError> {
        Ok(self.shared.lock().leases.images())
    }
}

// === impl Shared ===

impl Shared {
    /// Takes the slot of a blob, with what an earlier writer left if that still counts.
    fn take(&self, blob: &Part) -> Result<Option<Box<FolderWriter>>, SinkError> {
        let mut books = self.lock();
        books.leases.keep(blob.image, blob.digest);
        if self.store.inventory.size(&blob.digest).is_some() {
            return Err(SinkError::Complete(blob.digest));
        }
        let left = match books.unfinished.insert(blob.digest, Slot::Taken) {
            Some(Slot::Taken) => return Err(SinkError::Busy(blob.digest)),
            Some(Slot::Left(left)) => {
                Some(left).filter(|left| left.ingest.is_current() && left.written() <= blob.size)
            }
            None => None,
        };
        if left.is_none() && self.store.inventory.growing(&blob.digest).is_some() {
            books.unfinished.remove(&blob.digest);
            return Err(SinkError::Busy(blob.digest));
        }
        Ok(left)
    }

    /// Gives a slot back.
    fn leave(&self, digest: Digest, left: Option<Box<FolderWriter>>) {
        let mut books = self.lock();
        match left {
            Some(left) => books.unfinished.insert(digest, Slot::Left(left)),
            None => books.unfinished.remove(&digest),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        // Every critical section leaves the books whole, even if a panic poisoned the lock.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Writing ===

impl Writing {
    fn writer(&mut self) -> Result<Box<FolderWriter>, SinkError> {
        let gone = || refused(self.digest, io::Error::other("an earlier step failed"));
        self.writer.take().ok_or_else(gone)
    }
}

#[async_trait]
impl SinkWriter for Writing {
    fn at(&self) -> u64 {
        self.at
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        let mut writer = self.writer()?;
        writer.append(&bytes).await.map_err(|error| refused(self.digest, error))?;
        self.at = writer.written();
        self.writer = Some(writer);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), SinkError> {
        self.writer()?.commit().await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => SinkError::Mismatch(self.digest),
            _ => refused(self.digest, error),
        })
    }

    async fn abort(mut self: Box<Self>) -> Result<(), SinkError> {
        self.writer().map(drop)
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.shared.leave(self.digest, self.writer.take());
    }
}

fn refused(digest: Digest, error: io::Error) -> SinkError {
    SinkError::Refused { digest, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;
    use crate::{
        sink::Role,
        testing::sink::{SinkFixture, conforms},
    };

    struct Fixture {
        store: Arc<FolderStore>,
        sink: Arc<FolderSink>,
        _folder: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open_or_create(folder.path()).unwrap());
        Fixture { sink: Arc::new(FolderSink::new(store.clone())), store, _folder: folder }
    }

    fn part(bytes: &[u8]) -> Part {
        let (image, digest) = (Digest::sha256(b"image"), Digest::sha256(bytes));
        Part { image, role: Role::Layer, digest, size: bytes.len() as u64 }
    }

    #[async_trait]
    impl SinkFixture for Fixture {
        fn store(&self) -> Arc<dyn Store> {
            self.store.clone()
        }

        fn sink(&self) -> Arc<dyn Sink> {
            self.sink.clone()
        }

        async fn collect_garbage(&self) {
            self.sink.collect_garbage().unwrap();
        }
    }

    #[tokio::test]
    async fn a_folder_sink_keeps_the_promises_of_a_sink() {
        conforms(&fixture()).await;
    }

    #[tokio::test]
    async fn a_blob_that_the_runtime_has_begun_is_busy() {
        let (fixture, part) = (fixture(), part(b"12"));
        let mut runtime = fixture.store.write(part.digest).await.unwrap();
        runtime.append(b"1").await.unwrap();
        let opened = fixture.sink.open(&part).await;
        assert!(matches!(opened.err(), Some(SinkError::Busy(busy)) if busy == part.digest));
        drop(runtime);
        assert_eq!(fixture.sink.open(&part).await.unwrap().at(), 0);
    }

    #[tokio::test]
    async fn the_runtime_takes_over() {
        let (fixture, part) = (fixture(), part(b"12"));
        let mut ours = fixture.sink.open(&part).await.unwrap();
        ours.append(Bytes::from_static(b"1")).await.unwrap();
        let mut runtime = fixture.store.write(part.digest).await.unwrap();
        runtime.append(b"1").await.unwrap();
        let refused = ours.append(Bytes::from_static(b"2")).await;
        assert!(matches!(refused, Err(SinkError::Refused { .. })), "{refused:?}");
        drop(ours);
        let stream = fixture.store.open(&part.digest, 0).await.unwrap();
        runtime.append(b"2").await.unwrap();
        runtime.commit().await.unwrap();
        assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().concat(), b"12");
    }

    #[tokio::test]
    async fn what_was_aborted_in_the_store_starts_again() {
        let (fixture, part) = (fixture(), part(b"12"));
        let mut writer = fixture.sink.open(&part).await.unwrap();
        writer.append(Bytes::from_static(b"1")).await.unwrap();
        writer.close().await;
        fixture.store.abort(&part.digest).await.unwrap();
        assert_eq!(fixture.sink.open(&part).await.unwrap().at(), 0);
    }

    #[tokio::test]
    async fn it_tells_who_keeps_a_blob() {
        let (fixture, part) = (fixture(), part(b"12"));
        drop(fixture.sink.open(&part).await.unwrap());
        assert_eq!(fixture.sink.leases(&part.digest), [part.image].into());
        fixture.sink.release(&part.image).await.unwrap();
        assert_eq!(fixture.sink.leases(&part.digest), [].into());
    }
}
