//! Watches containerd's ingest folder, so that a download can be followed while it arrives.
//!
//! One descriptor of the kernel's notices, one watch for each ingest. Writes come by the thousand a
//! second; the kernel merges those that nobody has read of yet, so a pause after each look bounds
//! the work, whatever the speed.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use onepull_mirror::store::READ_CHUNK;
use rustix::fs::inotify::WatchFlags;
use tokio::{
    fs,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    arrival::{Arrival, Look},
    due::Due,
    holdings::Holdings,
    inotify::{Inotify, WatchId},
    link::Link,
    verdict::settle,
};

/// Growth for which readers are woken at once; a look that finds less comes too soon.
const STEP: u64 = READ_CHUNK as u64;

/// Between two looks at least: at 1 GB/s a look finds 5 MB, and 200 looks a second cost next to
/// nothing beside such a download.
const LEAST_PAUSE: Duration = Duration::from_millis(5);

/// Between two looks at most. Where less than a step comes in this time, readers are woken by time:
/// as seldom as this.
const MOST_PAUSE: Duration = Duration::from_millis(20);

/// Ingests that are watched at a time; the others are not shared before some of these have ended.
/// containerd opens one for each layer of each pull, a hundred pulls of large images together.
const WATCHED: usize = 1024;

/// When the kernel lets us watch no more, or the folder goes, trying again seldom costs nothing, and
/// nodes do without sharing downloads meanwhile.
const RETRY: Duration = Duration::from_secs(10);

/// In the ingest folder: folders that come, and its own end.
const TOP: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::DELETE_SELF);

/// In one ingest: files that come, grow and go.
const INGEST: WatchFlags =
    TOP.union(WatchFlags::MODIFY).union(WatchFlags::MOVED_FROM).union(WatchFlags::DELETE);

/// What the task keeps true: the growing part of the holdings.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) holdings: Arc<Holdings>,
    pub(super) link: watch::Receiver<Link>,
    /// Becomes true when nothing that begins from then on is missed, or watching has failed.
    pub(super) watching: watch::Sender<bool>,
}

/// The watch of one content folder. Dropping it gives up all that was growing.
struct Watching<'a> {
    arrivals: &'a Arrivals,
    inotify: Inotify,
    folder: PathBuf,
    top: WatchId,
    ingests: BTreeMap<WatchId, Arrival>,
    /// Whether more would be watched if there were room.
    full: bool,
    verdicts: FuturesUnordered<BoxFuture<'static, ()>>,
}

// === impl Arrivals ===

impl Arrivals {
    /// Watches the content folder of the present containerd, through its restarts; returns when the
    /// link has no owner any more.
    ///
    /// # Cancel safety
    /// May be dropped at any point; what was growing is given up.
    pub(super) async fn run(&self) {
        let mut link = self.link.clone();
        while let Some(root) = root(&mut link, |_| true).await {
            tokio::select! {
                error = self.watch(&root) => {
                    self.watching.send_replace(true);
                    tell(&root, error).await;
                }
                _moved = self::root(&mut link, |other| other != root) => {}
            }
        }
    }

    async fn watch(&self, root: &Path) -> io::Result<Infallible> {
        let folder = root.join("ingest");
        let waited = self.appears(&folder).await?;
        let mut watching = self.begin(&folder)?;
        // A folder that was waited for has held nothing before.
        watching.rescan(waited).await?;
        self.watching.send_replace(true);
        watching.run().await
    }

    /// Waits until the folder is there, which a fresh containerd makes for its first download.
    /// Returns whether it had to be waited for.
    async fn appears(&self, folder: &Path) -> io::Result<bool> {
        let mut waited = false;
        let inotify = Inotify::new()?;
        while !fs::try_exists(folder).await? {
            let above = folder.ancestors().skip(1);
            // The nearest that exists; when another one comes below it, the next round finds that.
            let watched = above.map(|above| inotify.watch(above, TOP)).find(Result::is_ok);
            watched.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
            if !fs::try_exists(folder).await? {
                self.watching.send_replace(true);
                inotify.events().await?;
            }
            waited = true;
        }
        Ok(waited)
    }

    fn begin(&self, folder: &Path) -> io::Result<Watching<'_>> {
        let inotify = Inotify::new()?;
        Ok(Watching {
            arrivals: self,
            top: inotify.watch(folder, TOP)?,
            inotify,
            folder: folder.to_owned(),
            ingests: BTreeMap::new(),
            full: false,
            verdicts: FuturesUnordered::new(),
        })
    }
}

/// Waits for a content folder that will do; `None` when nobody looks for one any more.
async fn root(
    link: &mut watch::Receiver<Link>,
    will_do: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let root = |link: &Link| link.session().map(|session| session.root.clone());
    let found = link.wait_for(|link| root(link).is_some_and(|root| will_do(&root))).await;
    root(&*found.ok()?)
}

/// Downloads go on without being shared meanwhile.
async fn tell(root: &Path, watched: io::Result<Infallible>) {
    let Err(error) = watched;
    tracing::warn!(%error, root = %root.display(), "cannot watch downloads");
    sleep(RETRY).await;
}

// === impl Watching ===

impl Watching<'_> {
    async fn run(&mut self) -> io::Result<Infallible> {
        let mut looked = Instant::now();
        loop {
            let idle_at = self.ingests.values().filter_map(Arrival::idle_at).min();
            tokio::select! {
                events = self.inotify.events() => {
                    let due = Due::new(events?, self.top);
                    let grown = self.carry_out(due).await?;
                    let last = std::mem::replace(&mut looked, Instant::now());
                    sleep(pause(grown, looked - last)).await;
                }
                Some(()) = self.verdicts.next() => {}
                () = sleep_until(idle_at.unwrap_or_else(Instant::now)), if idle_at.is_some() => {
                    self.give_up_idle(Instant::now());
                }
            }
        }
    }

    /// Returns by how many bytes the fastest ingest has grown.
    async fn carry_out(&mut self, due: Due) -> io::Result<u64> {
        if due.ended {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the ingest folder is gone"));
        }
        let mut grown = 0;
        for (watch, look) in due.looks {
            grown = grown.max(self.look(watch, look).await);
        }
        for watch in due.gone {
            self.end(watch);
        }
        for name in due.fresh {
            self.begin(&name, true).await?;
        }
        if due.rescan || self.full && self.ingests.len() < WATCHED {
            self.rescan(false).await?;
        }
        Ok(grown)
    }

    /// Looks at all that is there, as at the start and after events were lost.
    async fn rescan(&mut self, fresh: bool) -> io::Result<()> {
        self.full = false;
        let mut found = BTreeSet::new();
        let mut entries = fs::read_dir(&self.folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            found.extend(self.begin(&name.to_string_lossy(), fresh).await?);
        }
        let gone = self.ingests.keys().filter(|watch| !found.contains(watch)).copied();
        for watch in gone.collect::<Vec<_>>() {
            self.end(watch);
        }
        Ok(())
    }

    /// Watches one ingest and looks at it; `None` when it is gone, not ours, or one too many.
    async fn begin(&mut self, name: &str, fresh: bool) -> io::Result<Option<WatchId>> {
        let folder = self.folder.join(name);
        let watch = match self.inotify.watch(&folder, INGEST) {
            Ok(watch) => watch,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !self.ingests.contains_key(&watch) {
            if self.ingests.len() >= WATCHED {
                self.full = true;
                self.inotify.unwatch(watch);
                return Ok(None);
            }
            self.ingests.insert(watch, Arrival::new(folder, fresh, Instant::now()));
        }
        self.look(watch, Look::Everything).await;
        Ok(Some(watch))
    }

    /// Returns by how many bytes it has grown.
    async fn look(&mut self, watch: WatchId, what: Look) -> u64 {
        let Some(arrival) = self.ingests.get_mut(&watch) else { return 0 };
        let inventory = self.arrivals.holdings.inventory();
        let grown = arrival.look(what, inventory, Instant::now()).await;
        if arrival.is_foreign() {
            self.end(watch);
        }
        grown
    }

    fn end(&mut self, watch: WatchId) {
        self.inotify.unwatch(watch);
        let ended = self.ingests.remove(&watch).and_then(Arrival::end);
        let Some((digest, ingest)) = ended else { return };
        let Some(session) = self.arrivals.link.borrow().session().cloned() else { return };
        let holdings = Arc::clone(&self.arrivals.holdings);
        self.verdicts.push(Box::pin(settle(holdings, session, digest, ingest)));
    }

    fn give_up_idle(&mut self, now: Instant) {
        for arrival in self.ingests.values_mut() {
            if arrival.idle_at().is_some_and(|idle_at| idle_at <= now) {
                arrival.give_up();
            }
        }
    }
}

/// As long as the next step takes at the speed of the last look, within bounds.
fn pause(grown: u64, since: Duration) -> Duration {
    let nanos = since.as_nanos() * u128::from(STEP) / u128::from(grown.max(1));
    let step = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    step.clamp(LEAST_PAUSE, MOST_PAUSE)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use containerd_client::tonic::transport::Endpoint;
    use onepull_mirror::{Digest, store::Presence};
    use tokio::time::timeout;

    use super::*;
    use crate::containerd::link::Session;

    const LIMIT: Duration = Duration::from_secs(30);

    /// A content folder whose containerd never answers.
    struct Node {
        root: tempfile::TempDir,
        link: watch::Sender<Link>,
        arrivals: Arrivals,
    }

    impl Node {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let link = watch::Sender::new(up(root.path()));
            let (holdings, watching) = (Arc::default(), watch::Sender::new(false));
            let arrivals = Arrivals { holdings, link: link.subscribe(), watching };
            Self { root, link, arrivals }
        }

        /// Grows an ingest until that is noticed; what is there before the watch begins is not.
        async fn notices(&self, root: &Path, name: &str) {
            let digest = Digest::sha256(name.as_bytes());
            for bytes in 4..1000 {
                grow(root, name, bytes);
                let noticed = self.reaches(digest, Some(bytes));
                if timeout(5 * MOST_PAUSE, noticed).await.is_ok() {
                    return;
                }
            }
            panic!("{name} is not noticed");
        }

        async fn reaches(&self, digest: Digest, bytes: Option<u64>) {
            let mut follower = self.arrivals.holdings.follow(&digest);
            let reached = follower.wait_for(|now| match now {
                Some(Presence::Growing { have, .. }) => Some(*have) == bytes,
                Some(Presence::Complete { .. }) => panic!("nobody said so"),
                None => bytes.is_none(),
            });
            timeout(LIMIT, reached).await.unwrap().unwrap();
        }
    }

    fn up(root: &Path) -> Link {
        let channel = Endpoint::from_static("http://[::1]:1").connect_lazy();
        Link::Up(Session { channel, root: root.to_owned() })
    }

    /// Makes an ingest of the digest of its name; the number is the bytes it has.
    fn ingest(root: &Path, name: &str, bytes: usize) -> Digest {
        let (folder, digest) = (root.join("ingest").join(name), Digest::sha256(name.as_bytes()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ref"), format!("k8s.io/1/layer-{digest}")).unwrap();
        std::fs::write(folder.join("data"), vec![0; bytes]).unwrap();
        digest
    }

    fn grow(root: &Path, name: &str, bytes: u64) {
        let data = root.join("ingest").join(name).join("data");
        std::fs::File::options().write(true).open(data).unwrap().set_len(bytes).unwrap();
    }

    #[test]
    fn a_fast_download_is_looked_at_more_often() {
        let second = |bytes| pause(bytes, Duration::from_secs(1));
        assert_eq!(second(0), MOST_PAUSE);
        assert_eq!(second(25_000_000), MOST_PAUSE);
        assert_eq!(second(100 * STEP), Duration::from_millis(10));
        assert_eq!(second(10_000_000_000), LEAST_PAUSE);
    }

    #[tokio::test]
    async fn folders_are_followed_when_they_come_into_being_later() {
        let node = Node::new();
        let root = node.root.path().join("not/yet");
        node.link.send_replace(up(&root));
        let changes = async {
            tokio::task::yield_now().await;
            std::fs::create_dir_all(&root).unwrap();
            tokio::task::yield_now().await;
            let first = ingest(&root, "first", 3);
            node.notices(&root, "first").await;
            let second = ingest(&root, "second", 5);
            node.reaches(second, Some(5)).await;
            std::fs::remove_dir_all(root.join("ingest/first")).unwrap();
            node.reaches(first, None).await;
            node.reaches(second, Some(5)).await;
        };
        tokio::select! { () = node.arrivals.run() => unreachable!(), () = changes => {} }
    }

    #[tokio::test]
    async fn another_root_is_watched_instead() {
        let node = Node::new();
        let old = ingest(node.root.path(), "old", 3);
        let other = tempfile::tempdir().unwrap();
        let changes = async {
            node.notices(node.root.path(), "old").await;
            node.link.send_replace(up(other.path()));
            node.reaches(old, None).await;
            ingest(other.path(), "new", 3);
            node.notices(other.path(), "new").await;
        };
        tokio::select! { () = node.arrivals.run() => unreachable!(), () = changes => {} }
    }

    #[tokio::test]
    async fn what_the_kernel_did_not_tell_is_found_by_looking_at_everything() {
        let node = Node::new();
        let root = node.root.path();
        let gone = ingest(root, "gone", 3);
        let grown = ingest(root, "grown", 3);
        let mut watching = node.arrivals.begin(&root.join("ingest")).unwrap();
        watching.rescan(false).await.unwrap();
        assert_eq!(node.arrivals.holdings.presence(&grown), None, "it was there before");
        grow(root, "gone", 4);
        watching.rescan(false).await.unwrap();
        node.reaches(gone, Some(4)).await;
        std::fs::remove_dir_all(root.join("ingest/gone")).unwrap();
        grow(root, "grown", 4);
        ingest(root, "new", 3);
        watching.rescan(false).await.unwrap();
        node.reaches(grown, Some(4)).await;
        assert_eq!(watching.ingests.len(), 2);
        watching.verdicts.next().await.unwrap();
        node.reaches(gone, None).await;
    }

    #[tokio::test]
    async fn one_ingest_too_many_is_watched_once_there_is_room() {
        let node = Node::new();
        let root = node.root.path();
        for number in 0..=WATCHED {
            ingest(root, &number.to_string(), 1);
        }
        let mut watching = node.arrivals.begin(&root.join("ingest")).unwrap();
        watching.rescan(false).await.unwrap();
        assert_eq!((watching.ingests.len(), watching.full), (WATCHED, true));
        let watched = *watching.ingests.keys().next().unwrap();
        let name = watching.ingests[&watched].folder().to_owned();
        std::fs::remove_dir_all(name).unwrap();
        let due = Due::new(watching.inotify.events().await.unwrap(), watching.top);
        watching.carry_out(due).await.unwrap();
        assert_eq!((watching.ingests.len(), watching.full), (WATCHED, false));
    }
}
