//! The [`Store`] of a node that runs containerd.

use std::{error::Error, path::Path, sync::Arc};

use async_trait::async_trait;
use onepull_mirror::{
    Digest, Store,
    store::{ByteStream, Presence, StoreError, Watch, blob_path, open_file, read_file},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ContainerdError, Pace,
    connect::dial,
    follow::Follower,
    holdings::Holdings,
    ingests,
    link::{Link, Session},
    listing,
};

/// containerd's complete blobs in namespace `k8s.io`.
///
/// Until containerd has answered for the first time everything is absent. While it is down, what it
/// held is still served: its files are still there.
#[derive(Debug)]
pub struct ContainerdStore {
    holdings: Arc<Holdings>,
    link: watch::Receiver<Link>,
}

// === impl ContainerdStore ===

impl ContainerdStore {
    /// Follows the containerd on `socket`, from now or from when it starts, until `stop`.
    ///
    /// Its one task runs on `tasks`.
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
        let socket = socket.to_owned();
        tasks.spawn(async move { stop.run_until_cancelled(follower.run(&socket)).await });
        Ok(Arc::new(Self { holdings, link }))
    }

    /// Whether containerd answers now and the list of its blobs is being kept true.
    pub fn is_connected(&self) -> bool {
        matches!(*self.link.borrow(), Link::Up(_))
    }

    /// Waits until containerd's blobs have been listed for the first time, or the store was stopped.
    ///
    /// What [`Store::watch`] tells as added before that was there before this process; what it
    /// tells of a watch taken after it is new.
    pub async fn listed(&self) {
        let mut link = self.link.clone();
        // An error means that the follower was stopped.
        let _ = link.wait_for(|link| link.session().is_some()).await;
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
}

#[async_trait]
impl Store for ContainerdStore {
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError> {
        let Some(session) = self.session() else { return Ok(None) };
        let size = self.size(&session, digest).await?;
        Ok(size.map(|size| Presence::Complete { size }))
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<ByteStream, StoreError> {
        let absent = StoreError::Absent(*digest);
        let Some(session) = self.session() else { return Err(absent) };
        // The folder is shared by all namespaces, so the file alone proves nothing.
        let Some(expected) = self.size(&session, digest).await? else { return Err(absent) };
        match open_file(&blob_path(&session.root, digest)).await {
            Ok((file, found)) if found == expected => Ok(read_file(file, offset.min(found)..found)),
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
}

fn unavailable(error: ContainerdError) -> StoreError {
    let reason = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    StoreError::Unavailable(reason)
}
