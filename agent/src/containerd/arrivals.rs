//! Watches containerd's ingest folder, so that a download can be followed while it arrives.
//!
//! One descriptor of the kernel's notices, one watch for each ingest. Writes come by the thousand a
//! second; the kernel merges those that nobody has read of yet, so a pause after each look bounds
//! the work, whatever the speed.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::inotify::WatchFlags;
use tokio::{fs, sync::watch, time::sleep};

use super::{holdings::Holdings, link::Link};
use crate::inotify::Inotify;

mod watching;

use watching::Watching;

/// When the kernel lets us watch no more, or the folder goes, trying again seldom costs nothing, and
/// nodes do without sharing downloads meanwhile.
const RETRY: Duration = Duration::from_secs(10);

/// In the ingest folder: folders that come, and its own end.
const TOP: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::DELETE_SELF);

/// What the task keeps true: the growing part of the holdings.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) holdings: Arc<Holdings>,
    pub(super) link: watch::Receiver<Link>,
    /// Becomes true when nothing that begins from then on is missed, or watching has failed.
    pub(super) watching: watch::Sender<bool>,
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
        let mut watching = Watching::new(self, &folder)?;
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

#[cfg(test)]
mod tests {
    use containerd_client::tonic::transport::Endpoint;
    use onepull_mirror::{Digest, store::Presence};
    use tokio::time::timeout;

    use futures::StreamExt;

    use super::*;
    use crate::containerd::{
        arrivals::watching::{MOST_PAUSE, WATCHED},
        due::Due,
        link::Session,
    };

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
        Link::Up(Session { channel, root: root.to_owned(), version: None })
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
        let mut watching = Watching::new(&node.arrivals, &root.join("ingest")).unwrap();
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
        let mut watching = Watching::new(&node.arrivals, &root.join("ingest")).unwrap();
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
