//! The [`Store`] of a node that runs containerd.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use onepull_mirror::{
    Digest, Reservation, Store,
    store::{ByteStream, Opened, Presence, StoreError, Watch, blob_path, open_file},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{
    ContainerdError, Pace,
    arrivals::Arrivals,
    connect::dial,
    follow::Follower,
    holdings::Holdings,
    ingests,
    link::{Link, Session},
    listing, reservation,
};

/// A commit between two looks makes a reader look again; this often only by a rare coincidence.
const LOOKS: usize = 3;

/// containerd's blobs in namespace `k8s.io`, complete or arriving.
///
/// Until containerd has answered for the first time everything is absent. While it is down, what it
/// held is still served: its files are still there.
#[derive(Debug)]
pub struct ContainerdStore {
    holdings: Arc<Holdings>,
    link: watch::Receiver<Link>,
    watching: watch::Receiver<bool>,
    stall: Duration,
}

// === impl ContainerdStore ===

impl ContainerdStore {
    /// Follows the containerd on `socket`, from now or from when it starts, until `stop`.
    ///
    /// Its two tasks run on `tasks`.
    ///
    /// # Errors
    /// Only what no waiting mends: the path is no socket, or not for us.
    pub async fn connect(
        socket: &Path,
        pace: Pace,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, ContainerdError> {
        if let Err(error) = dial(socket).await
            && error.is_misconfiguration()
        {
            return Err(error);
        }
        let holdings = Arc::<Holdings>::default();
        let (sender, link) = watch::channel(Link::default());
        let follower = Follower { holdings: Arc::clone(&holdings), link: sender, pace };
        let (watching, begun) = watch::channel(false);
        let arrivals = Arrivals { holdings: Arc::clone(&holdings), link: link.clone(), watching };
        let (socket, stopped) = (socket.to_owned(), stop.clone());
        tasks.spawn(async move { stop.run_until_cancelled(follower.run(&socket)).await });
        tasks.spawn(async move { stopped.run_until_cancelled(arrivals.run()).await });
        Ok(Arc::new(Self { holdings, link, watching: begun, stall: pace.stall }))
    }

    /// Whether containerd answers now and the list of its blobs is being kept true.
    pub fn is_connected(&self) -> bool {
        matches!(*self.link.borrow(), Link::Up(_))
    }

    /// The folder that holds its blobs, once containerd has named it.
    pub fn content_root(&self) -> Option<PathBuf> {
        self.session().map(|session| session.root)
    }

    /// Waits until containerd's blobs have been listed for the first time and its downloads are
    /// being watched, or the store was stopped.
    ///
    /// What [`Store::watch`] tells as added before that was there before this process; what it
    /// tells of a watch taken after it is new.
    pub async fn listed(&self) {
        let mut link = self.link.clone();
        // An error means that the follower was stopped.
        let _ = link.wait_for(|link| link.session().is_some()).await;
        let _ = self.watching.clone().wait_for(|watching| *watching).await;
    }

    fn session(&self) -> Option<Session> {
        self.link.borrow().session().cloned()
    }

    /// The list first; containerd itself for what it has not told yet.
    async fn size(&self, session: &Session, digest: &Digest) -> Result<Option<u64>, StoreError> {
        if let Some(size) = self.holdings.size(digest) {
            return Ok(Some(size));
        }
        let size = listing::size(session.channel.clone(), digest).await.map_err(unavailable)?;
        if let Some(size) = size {
            self.holdings.add(*digest, size);
        }
        Ok(size)
    }

    async fn open_growing(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<Option<ByteStream>, StoreError> {
        for _ in 0..LOOKS {
            let Some(growing) = self.holdings.inventory().growing(digest) else { break };
            let opened = growing.open(offset, self.stall).await;
            let opened = opened.map_err(|source| StoreError::from_io(*digest, source))?;
            if opened.is_some() {
                return Ok(opened);
            }
        }
        Ok(None)
    }

    async fn open_complete(
        &self,
        session: &Session,
        digest: &Digest,
        offset: u64,
    ) -> Result<Opened, StoreError> {
        // The folder is shared by all namespaces, so the file alone proves nothing.
        let size = self.size(session, digest).await?;
        let expected = size.ok_or(StoreError::Absent(*digest))?;
        match open_file(&blob_path(&session.root, digest)).await {
            Ok((file, found)) if found == expected => {
                Ok(Opened::file(file, offset.min(found)..found))
            }
            Ok((_, found)) => Err(StoreError::Length { digest: *digest, expected, found }),
            Err(error) => {
                let error = StoreError::from_io(*digest, error);
                if let StoreError::Absent(digest) = error {
                    // Garbage collection tells nobody.
                    self.holdings.remove(digest);
                }
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Store for ContainerdStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError> {
        let known = self.holdings.presence(digest);
        if let Some(growing) = self.holdings.inventory().growing(digest)
            && growing.is_there().await
        {
            return Ok(known);
        }
        let Some(session) = self.session() else { return Ok(None) };
        let size = self.size(&session, digest).await?;
        Ok(size.map(|size| Presence::Complete { size }).or(known))
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Opened, StoreError> {
        let Some(session) = self.session() else { return Err(StoreError::Absent(*digest)) };
        if self.holdings.size(digest).is_none()
            && let Some(stream) = self.open_growing(digest, offset).await?
        {
            return Ok(stream.into());
        }
        match self.open_complete(&session, digest, offset).await {
            // Deleted unnoticed, it may be arriving again.
            Err(StoreError::Absent(absent)) => {
                let stream = self.open_growing(digest, offset).await?;
                stream.map(Opened::from).ok_or(StoreError::Absent(absent))
            }
            opened => opened,
        }
    }

    async fn abort(&self, digest: &Digest) -> Result<(), StoreError> {
        let Some(session) = self.session() else { return Ok(()) };
        ingests::abort(session.channel, digest).await.map_err(unavailable)
    }

    fn watch(&self) -> Watch {
        self.holdings.watch()
    }

    fn follow(&self, digest: &Digest) -> watch::Receiver<Option<Presence>> {
        self.holdings.follow(digest)
    }

    async fn reserve(&self, layer: &Digest, size: u64) -> Option<Box<dyn Reservation>> {
        let session = self.session()?;
        if session.version? < reservation::SINCE || self.holdings.presence(layer).is_some() {
            return None;
        }
        let reserved = reservation::reserve(session.channel, layer, size).await;
        reserved.inspect_err(|error| debug!(%layer, %error, "not reserved")).ok()?
    }
}

fn unavailable(error: ContainerdError) -> StoreError {
    StoreError::Unavailable(error.with_cause())
}
