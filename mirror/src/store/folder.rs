//! A store in a folder, for the demo, the load test's embedded nodes, and tests.
//!
//! Layout: `blobs/<algorithm>/<hex>` for complete blobs, as in containerd's store and an OCI layout,
//! and `ingest/<hex>` for what is being written.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::{fs::File, io::AsyncWriteExt};

use super::{
    ByteStream, Inventory, Presence, Store, StoreError, Watch, read::open_file, read_file,
};
use crate::{Digest, digest::Algorithm, digest::Verifier};

/// A content store in a folder of its own.
pub struct FolderStore {
    root: PathBuf,
    inventory: Arc<Inventory>,
}

/// Writes one blob; nothing is visible before [`FolderWriter::commit`].
pub struct FolderWriter {
    digest: Digest,
    ingest: PathBuf,
    blob: PathBuf,
    file: File,
    written: u64,
    verifier: Verifier,
    inventory: Arc<Inventory>,
}

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
        Ok(Self { root, inventory })
    }

    /// Starts writing a blob from byte 0.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub async fn write(&self, digest: Digest) -> io::Result<FolderWriter> {
        let ingest = self.root.join("ingest").join(digest.hex());
        Ok(FolderWriter {
            file: File::create(&ingest).await?,
            blob: self.blob(&digest),
            verifier: Verifier::new(digest),
            written: 0,
            inventory: Arc::clone(&self.inventory),
            digest,
            ingest,
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
}

/// The path of a blob below a content folder, the same in containerd, an OCI layout and here.
pub fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

#[async_trait]
impl Store for FolderStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError> {
        Ok(self.inventory.size(digest).map(|size| Presence::Complete { size }))
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<ByteStream, StoreError> {
        let expected = self.inventory.size(digest).ok_or(StoreError::Absent(*digest))?;
        let (file, found) = open_file(&self.blob(digest))
            .await
            .map_err(|source| StoreError::from_io(*digest, source))?;
        if found != expected {
            return Err(StoreError::Length { digest: *digest, expected, found });
        }
        Ok(read_file(file, offset.min(found)..found))
    }

    async fn abort(&self, digest: &Digest) -> Result<(), StoreError> {
        let ingest = self.root.join("ingest").join(digest.hex());
        ignore_missing(fs::remove_file(ingest))
            .map_err(|source| StoreError::from_io(*digest, source))
    }

    fn watch(&self) -> Watch {
        self.inventory.watch()
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
    /// Appends the next bytes.
    ///
    /// # Errors
    /// What the file system said.
    pub async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.verifier.update(bytes);
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).await
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes the blob visible if its bytes are those of its digest; drops them if not.
    ///
    /// # Errors
    /// `InvalidData` on a digest mismatch, else what the file system said.
    pub async fn commit(mut self) -> io::Result<()> {
        self.file.flush().await?;
        if !self.verifier.matches() {
            fs::remove_file(&self.ingest)?;
            let message = format!("the bytes received are not those of {}", self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        fs::rename(&self.ingest, &self.blob)?;
        self.inventory.add(self.digest, self.written);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::testing::store::{StoreFixture, conforms};

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
    }

    #[tokio::test]
    async fn a_folder_store_keeps_the_promises_of_a_store() {
        conforms(&fixture()).await;
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
