//! A store in memory. Files would bring the machine's own time, and threads whose order nobody knows.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use onepull_mirror::{
    Digest, Store,
    store::{Ingest, Inventory, Opened, Presence, READ_CHUNK, STALL, StoreError, Watch},
};
use tokio::{sync::watch, time::timeout};

/// The complete blobs of a node: what outlives its crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<BTreeMap<Digest, Bytes>>>);

/// A blob's bytes as far as they have come.
type File = Arc<Mutex<Vec<u8>>>;

/// What a node holds since it started.
pub(crate) struct MemoryStore {
    disk: Disk,
    inventory: Arc<Inventory>,
    files: Mutex<BTreeMap<Digest, File>>,
}

/// Writes one blob, which readers follow.
pub(crate) struct Writer {
    store: Arc<MemoryStore>,
    digest: Digest,
    total: u64,
    file: File,
    ingest: Ingest,
}

/// One reader's way through a blob.
struct Tail {
    at: u64,
    file: File,
    presence: watch::Receiver<Option<Presence>>,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// What is on `disk` when a node starts.
    pub(crate) fn open(disk: &Disk) -> Arc<Self> {
        let store = Self { disk: disk.clone(), inventory: Arc::default(), files: Mutex::default() };
        for (digest, bytes) in lock(&disk.0).iter() {
            store.inventory.add(*digest, bytes.len() as u64);
            lock(&store.files).insert(*digest, Arc::new(Mutex::new(bytes.to_vec())));
        }
        Arc::new(store)
    }

    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        self.inventory.size(digest).is_some()
    }

    /// Starts writing a blob of `total` bytes.
    pub(crate) fn write(self: &Arc<Self>, digest: Digest, total: u64) -> Writer {
        let file = File::default();
        lock(&self.files).insert(digest, Arc::clone(&file));
        let ingest = self.inventory.begin(digest, "in memory".into());
        Writer { store: Arc::clone(self), digest, total, file, ingest }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError> {
        Ok(self.inventory.presence(digest))
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Opened, StoreError> {
        let file = lock(&self.files).get(digest).cloned();
        let file = file.filter(|_| self.inventory.presence(digest).is_some());
        let file = file.ok_or(StoreError::Absent(*digest))?;
        let tail = Tail { at: offset, file, presence: self.inventory.follow(digest) };
        Ok(stream::try_unfold(tail, async |mut tail| {
            Ok(tail.next().await?.map(|bytes| (bytes, tail)))
        })
        .boxed()
        .into())
    }

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

// === impl Writer ===

impl Writer {
    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        lock(&self.file).len() as u64
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), String> {
        lock(&self.file).extend_from_slice(bytes);
        let counts = self.ingest.grew(self.written(), Some(self.total));
        counts.then_some(()).ok_or_else(|| format!("{} was aborted", self.digest))
    }

    pub(crate) fn commit(self) -> Result<(), String> {
        let bytes = Bytes::from(lock(&self.file).clone());
        if Digest::sha256(&bytes) != self.digest {
            return Err(format!("the bytes that came are not those of {}", self.digest));
        }
        lock(&self.store.disk.0).insert(self.digest, bytes);
        self.ingest.completed(self.total);
        Ok(())
    }
}

// === impl Tail ===

impl Tail {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let now = *self.presence.borrow_and_update();
            let have = match now.ok_or_else(lost)? {
                Presence::Complete { size } if self.at >= size => return Ok(None),
                Presence::Complete { size: have } | Presence::Growing { have, .. } => have,
            };
            if self.at < have {
                return self.read(have).map(Some);
            }
            match timeout(STALL, self.presence.changed()).await {
                Ok(changed) => changed.map_err(|_| lost())?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// The next piece of the first `have` bytes. A newer writer has a file of its own, which this
    /// reader must not wait for.
    fn read(&mut self, have: u64) -> io::Result<Bytes> {
        let end = have.min(self.at + READ_CHUNK as u64);
        let part = usize::try_from(self.at).unwrap()..usize::try_from(end).unwrap();
        let bytes = lock(&self.file).get(part).map(Bytes::copy_from_slice).ok_or_else(lost)?;
        self.at = end;
        Ok(bytes)
    }
}

fn lost() -> io::Error {
    io::Error::other("the download was given up")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
