//! One ingest folder of containerd: `ref`, `total` and `data`, which grows in order.

use std::{fs::File, path::PathBuf, sync::Arc};

use onepull_mirror::{
    Digest,
    store::{Ingest, Inventory},
};
use tokio::{
    fs,
    time::{Duration, Instant},
};

use super::label::{self, Label};

/// What has not grown for this long is no download: a killed containerd leaves its ingests for a
/// day. Longer than a registry is slow, and than a commit's sync to the disk takes.
const IDLE: Duration = Duration::from_secs(60);

/// One folder below `ingest`, as it was last seen.
#[derive(Debug)]
pub(super) struct Arrival {
    folder: PathBuf,
    label: Label,
    total: Option<u64>,
    /// Bytes at the last look; `None` before the first one at a folder whose past is unknown.
    seen: Option<u64>,
    /// Held while it grows, so that a look costs no walk through folders.
    data: Option<File>,
    ingest: Option<Ingest>,
    grown: Instant,
    over: bool,
}

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// `data` alone.
    Data,
    /// All files.
    Everything,
}

// === impl Arrival ===

impl Arrival {
    /// A folder in which nothing has been looked at. A `fresh` one was made just now; in another,
    /// what is there at first proves no download.
    pub(super) fn new(folder: PathBuf, fresh: bool, now: Instant) -> Self {
        Self {
            folder,
            label: Label::Unknown,
            total: None,
            seen: fresh.then_some(0),
            data: None,
            ingest: None,
            grown: now,
            over: false,
        }
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.label == Label::Foreign
    }

    /// Looks how far it is, and tells the inventory. Returns by how many bytes it has grown.
    pub(super) async fn look(
        &mut self,
        what: Look,
        inventory: &Arc<Inventory>,
        now: Instant,
    ) -> u64 {
        if what == Look::Everything {
            self.read_labels().await;
        }
        let Label::Blob(digest) = self.label else { return 0 };
        let Some(size) = self.size().await else { return 0 };
        let seen = self.seen.replace(size).unwrap_or(size);
        if size < seen {
            // Written again from an earlier byte: not what its readers were promised.
            self.give_up();
        } else if size > seen && !self.over {
            self.grew(digest, size, inventory, now);
        }
        size.saturating_sub(seen)
    }

    /// The folder is gone: the blob, its length as far as it was seen, and its ingest if it grew.
    pub(super) fn end(self) -> Option<(Digest, Option<Ingest>)> {
        match self.label {
            Label::Blob(digest) => Some((digest, self.ingest)),
            Label::Unknown | Label::Foreign => None,
        }
    }

    /// When it stops to count as a download if it does not grow.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        self.ingest.as_ref().map(|_| self.grown + IDLE)
    }

    /// Gives it up as a download, until it grows again.
    pub(super) fn give_up(&mut self) {
        self.ingest = None;
        self.data = None;
    }

    async fn read_labels(&mut self) {
        if self.label == Label::Unknown
            && let Ok(text) = fs::read_to_string(self.folder.join("ref")).await
        {
            self.label = Label::parse(&text);
        }
        if self.total.is_none()
            && let Ok(text) = fs::read_to_string(self.folder.join("total")).await
        {
            self.total = label::total(&text);
        }
    }

    async fn size(&mut self) -> Option<u64> {
        if let Some(data) = &self.data {
            return Some(data.metadata().ok()?.len());
        }
        let path = self.folder.join("data");
        let size = fs::metadata(&path).await.ok()?.len();
        if self.seen.is_some_and(|seen| size > seen) {
            self.data = Some(fs::File::open(path).await.ok()?.into_std().await);
        }
        Some(size)
    }

    fn grew(&mut self, digest: Digest, size: u64, inventory: &Arc<Inventory>, now: Instant) {
        self.grown = now;
        let path = self.folder.join("data");
        let ingest = self.ingest.get_or_insert_with(|| inventory.begin(digest, path));
        if !ingest.grew(size, self.total) {
            // The blob is complete, or comes by another ingest.
            self.give_up();
            self.over = true;
        }
    }
}

#[cfg(test)]
impl Arrival {
    pub(super) fn folder(&self) -> &std::path::Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use onepull_mirror::store::Presence;

    use super::*;

    struct Folder {
        folder: tempfile::TempDir,
        digest: Digest,
        inventory: Arc<Inventory>,
    }

    impl Folder {
        fn new() -> Self {
            let (folder, digest) = (tempfile::tempdir().unwrap(), Digest::sha256(b"x"));
            let files = [("ref", format!("k8s.io/1/layer-{digest}")), ("total", "9".to_owned())];
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            Self { folder, digest, inventory: Arc::default() }
        }

        fn arrival(&self, fresh: bool) -> Arrival {
            Arrival::new(self.folder.path().to_owned(), fresh, Instant::now())
        }

        fn append(&self, bytes: &[u8]) {
            let path = self.folder.path().join("data");
            let mut file = File::options().create(true).append(true).open(path).unwrap();
            file.write_all(bytes).unwrap();
        }

        async fn look(&self, arrival: &mut Arrival) -> Option<u64> {
            arrival.look(Look::Everything, &self.inventory, Instant::now()).await;
            match self.inventory.presence(&self.digest)? {
                Presence::Growing { have, total: Some(9) } => Some(have),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_fresh_ingest_counts_from_its_first_byte() {
        let folder = Folder::new();
        let mut arrival = folder.arrival(true);
        assert_eq!(folder.look(&mut arrival).await, None);
        folder.append(b"");
        assert_eq!(folder.look(&mut arrival).await, None);
        folder.append(b"123");
        assert_eq!(folder.look(&mut arrival).await, Some(3));
        folder.append(b"456");
        assert_eq!(folder.look(&mut arrival).await, Some(6));
    }

    #[tokio::test]
    async fn an_old_ingest_counts_once_it_grows() {
        let folder = Folder::new();
        folder.append(b"123");
        let mut arrival = folder.arrival(false);
        assert_eq!(folder.look(&mut arrival).await, None);
        assert_eq!(folder.look(&mut arrival).await, None);
        folder.append(b"4");
        assert_eq!(folder.look(&mut arrival).await, Some(4));
    }

    #[tokio::test]
    async fn an_ingest_that_shrinks_is_another_one() {
        let folder = Folder::new();
        let mut arrival = folder.arrival(true);
        folder.append(b"123");
        assert_eq!(folder.look(&mut arrival).await, Some(3));
        File::create(folder.folder.path().join("data")).unwrap();
        assert_eq!(folder.look(&mut arrival).await, None);
        folder.append(b"12");
        assert_eq!(folder.look(&mut arrival).await, Some(2));
    }

    #[tokio::test]
    async fn an_idle_ingest_is_given_up_until_it_grows() {
        let folder = Folder::new();
        let mut arrival = folder.arrival(true);
        assert_eq!(arrival.idle_at(), None);
        folder.append(b"123");
        folder.look(&mut arrival).await;
        assert!(arrival.idle_at().is_some());
        arrival.give_up();
        assert_eq!(folder.look(&mut arrival).await, None);
        assert_eq!(arrival.idle_at(), None);
        folder.append(b"4");
        assert_eq!(folder.look(&mut arrival).await, Some(4));
    }

    #[tokio::test]
    async fn an_ingest_whose_blob_is_complete_is_over() {
        let folder = Folder::new();
        let mut arrival = folder.arrival(true);
        folder.append(b"123");
        folder.look(&mut arrival).await;
        folder.inventory.add(folder.digest, 9);
        folder.inventory.remove(&folder.digest);
        for _ in 0..2 {
            folder.append(b"4");
            assert_eq!(folder.look(&mut arrival).await, None);
        }
    }
}
