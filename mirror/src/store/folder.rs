//! A store in a folder, for the demo, the load test's embedded nodes, and tests.
//!
//! Layout: `blobs/<algorithm>/<hex>` for complete blobs, as in containerd's store and an OCI layout,
//! and `ingest/<hex>.<number>` for what is being written.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::{fs::File, io::AsyncWriteExt, sync::watch};

use super::{
    Ingest, Inventory, Opened, Presence, STALL, Store, StoreError, Watch, read::open_file,
};
use crate::{Digest, digest::Algorithm, digest::Verifier};

mod leases;
mod sink;

pub use sink::FolderSink;

/// A commit between two looks makes a reader look again; this often only by a rare coincidence.
const LOOKS: usize = 3;

/// A content store in a folder of its own.
pub struct FolderStore {
    root: PathBuf,
    inventory: Arc<Inventory>,
    writers: AtomicU64,
}

/// Writes one blob, which readers follow from its first bytes on. Dropped without
/// [`FolderWriter::commit`], what it wrote is lost.
///
/// One writer counts for a digest: a newer one takes over, and the older one's next step fails, as
/// after [`Store::abort`].
pub struct FolderWriter {
    digest: Digest,
    total: Option<u64>,
    unfinished: Unfinished,
    blob: PathBuf,
    file: File,
    written: u64,
    verifier: Verifier,
    ingest: Ingest,
}

/// A file that is removed when this is dropped, unless it has been renamed.
struct Unfinished(PathBuf);

// === impl FolderStore ===

impl FolderStore {
    /// Opens the folder, makes it where it is missing, and takes stock of what it holds.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open_or_create(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(root.join("ingest"))?;
        let inventory = Arc::new(Inventory::new());
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = root.join("blobs").join(algorithm.as_str());
            fs::create_dir_all(&folder)?;
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name();
                if let Ok(digest) = format!("{algorithm}:{}", name.to_string_lossy()).parse() {
                    inventory.add(digest, entry.metadata()?.len());
                }
            }
        }
        Ok(Self { root, inventory, writers: AtomicU64::default() })
    }

    /// Starts writing a blob from byte 0.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub async fn write(&self, digest: Digest) -> io::Result<FolderWriter> {
        let number = self.writers.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("ingest").join(format!("{}.{number}", digest.hex()));
        Ok(FolderWriter {
            file: File::create(&path).await?,
            ingest: self.inventory.begin(digest, path.clone()),
            unfinished: Unfinished(path),
            blob: self.blob(&digest),
            verifier: Verifier::new(digest),
            written: 0,
            total: None,
            digest,
        })
    }

    /// Removes a complete blob; what is not there is not an error.
    ///
    /// # Errors
    /// What the file system said.
    pub fn remove(&self, digest: &Digest) -> io::Result<()> {
        self.inventory.remove(digest);
        ignore_missing(fs::remove_file(self.blob(digest)))
    }

    /// Where a complete blob lies.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.root, digest)
    }

    async fn open_complete(
        &self,
        digest: &Digest,
        expected: u64,
        offset: u64,
    ) -> Result<Opened, StoreError> {
        let (file, found) = open_file(&self.blob(digest))
            .await
            .map_err(|source| StoreError::from_io(*digest, source))?;
        if found != expected {
            return Err(StoreError::Length { digest: *digest, expected, found });
        }
        Ok(Opened::file(file, offset.min(found)..found))
    }
}

/// The path of a blob below a content folder, the same in containerd, an OCI layout and here.
pub fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

#[async_trait]
impl Store for FolderStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError> {
        Ok(self.inventory.presence(digest))
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Opened, StoreError> {
        for _ in 0..LOOKS {
            if let Some(size) = self.inventory.size(digest) {
                return self.open_complete(digest, size, offset).await;
            }
            let Some(growing) = self.inventory.growing(digest) else { break };
            match growing.open(offset, STALL).await {
                Ok(Some(stream)) => return Ok(stream.into()),
                Ok(None) => {}
                Err(source) => return Err(StoreError::Io { digest: *digest, source }),
            }
        }
        Err(StoreError::Absent(*digest))
    }

    /// The writer removes its file when it notices.
    async fn abort(&self, digest: &Digest) -> Result<(), StoreError> {
        self.inventory.abort(digest);
        Ok(())
    }

    fn watch(&self) -> Watch {
        self.inventory.watch()
    }

    fn follow(&self, digest: &Digest) -> watch::Receiver<Option<Presence>> {
        self.inventory.follow(digest)
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

// === impl FolderWriter ===

impl FolderWriter {
    /// Says how many bytes the whole blob has, for those who follow it.
    #[must_use]
    pub fn with_total(mut self, total: u64) -> Self {
        self.total = Some(total);
        self
    }

    /// Appends the next bytes; readers may have them from then on.
    ///
    /// # Errors
    /// What the file system said, and when the ingest was aborted or taken over.
    pub async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.verifier.update(bytes);
        self.file.write_all(bytes).await?;
        self.file.flush().await?;
        self.written += bytes.len() as u64;
        match self.ingest.grew(self.written, self.total) {
            true => Ok(()),
            false => Err(self.given_up()),
        }
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes the blob complete if its bytes are those of its digest; drops them if not.
    ///
    /// # Errors
    /// `InvalidData` on a digest mismatch, else what the file system said; and when the ingest was
    /// aborted or taken over.
    pub async fn commit(mut self) -> io::Result<()> {
        self.file.flush().await?;
        if !self.ingest.is_current() {
            return Err(self.given_up());
        }
        if !self.verifier.matches() {
            let message = format!("the bytes received are not those of {}", self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        fs::rename(&self.unfinished.0, &self.blob)?;
        self.ingest.completed(self.written);
        Ok(())
    }

    fn given_up(&self) -> io::Error {
        io::Error::other(format!("writing {} was aborted or taken over", self.digest))
    }
}

// === impl Unfinished ===

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What cannot be removed cannot be mended here; a blob's folder is not touched.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::TryStreamExt;

    use super::*;
    use crate::testing::store::{self, StoreFixture, conforms};

    struct Fixture {
        store: Arc<FolderStore>,
        _folder: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open_or_create(folder.path()).unwrap());
        Fixture { store, _folder: folder }
    }

    #[async_trait]
    impl StoreFixture for Fixture {
        fn store(&self) -> Arc<dyn Store> {
            self.store.clone()
        }

        async fn put(&self, bytes: Bytes) -> Digest {
            let digest = Digest::sha256(&bytes);
            let mut writer = self.store.write(digest).await.unwrap();
            writer.append(&bytes).await.unwrap();
            writer.commit().await.unwrap();
            digest
        }

        async fn delete(&self, digest: &Digest) {
            self.store.remove(digest).unwrap();
        }

        async fn begin(&self, digest: Digest, total: Option<u64>) -> Box<dyn store::Ingest> {
            let mut writer = self.store.write(digest).await.unwrap();
            writer.total = total;
            Box::new(writer)
        }
    }

    #[async_trait]
    impl store::Ingest for FolderWriter {
        async fn append(&mut self, bytes: Bytes) {
            FolderWriter::append(self, &bytes).await.unwrap();
        }

        async fn commit(self: Box<Self>) {
            FolderWriter::commit(*self).await.unwrap();
        }

        async fn abort(self: Box<Self>) {}
    }

    #[tokio::test]
    async fn a_folder_store_keeps_the_promises_of_a_store() {
        conforms(&fixture()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_of_a_stalled_ingest_is_told_in_time() {
        let start = tokio::time::Instant::now();
        store::a_stalled_ingest_ends_its_readers(&fixture()).await;
        assert_eq!(start.elapsed(), STALL);
    }

    #[tokio::test]
    async fn an_aborted_writer_fails_at_its_next_step_and_leaves_nothing() {
        let fixture = fixture();
        let digest = Digest::sha256(b"12");
        for appends in [true, false] {
            let mut writer = fixture.store.write(digest).await.unwrap();
            writer.append(b"1").await.unwrap();
            let stream = fixture.store.open(&digest, 0).await.unwrap();
            fixture.store.abort(&digest).await.unwrap();
            assert_eq!(fixture.store.stat(&digest).await.unwrap(), None);
            assert!(stream.try_collect::<Vec<_>>().await.is_err());
            match appends {
                true => assert!(writer.append(b"2").await.is_err()),
                false => assert!(writer.commit().await.is_err()),
            }
        }
        assert_eq!(fs::read_dir(fixture.store.root.join("ingest")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_second_writer_takes_over() {
        let fixture = fixture();
        let digest = Digest::sha256(b"12");
        let mut first = fixture.store.write(digest).await.unwrap();
        first.append(b"1").await.unwrap();
        let readers = fixture.store.open(&digest, 0).await.unwrap();
        let mut second = fixture.store.write(digest).await.unwrap();
        assert!(readers.try_collect::<Vec<_>>().await.is_err());
        second.append(b"1").await.unwrap();
        assert!(first.append(b"2").await.is_err());
        drop(first);
        let stream = fixture.store.open(&digest, 0).await.unwrap();
        second.append(b"2").await.unwrap();
        second.commit().await.unwrap();
        assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().concat(), b"12");
    }

    #[tokio::test]
    async fn a_reopened_folder_still_holds_its_blobs() {
        let fixture = fixture();
        let digest = fixture.put(Bytes::from_static(b"durable")).await;
        let reopened = FolderStore::open_or_create(&fixture.store.root).unwrap();
        let presence = reopened.stat(&digest).await.unwrap();
        assert_eq!(presence, Some(Presence::Complete { size: 7 }));
    }

    #[tokio::test]
    async fn wrong_bytes_are_never_committed() {
        let fixture = fixture();
        let digest = Digest::sha256(b"right");
        let mut writer = fixture.store.write(digest).await.unwrap();
        writer.append(b"wrong").await.unwrap();
        let error = writer.commit().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(fixture.store.stat(&digest).await.unwrap(), None);
        assert!(!fixture.store.blob(&digest).exists());
    }
}
