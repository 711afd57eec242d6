//! The background task: connect, subscribe, list, follow; and again whenever containerd goes away.
//!
//! A containerd that hangs closes nothing. It is noticed by the audit listing, which has a
//! deadline: containerd refuses the frequent pings by which gRPC would notice.

use std::{
    convert::Infallible, error::Error, future::pending, path::Path, pin::pin, sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::{StreamExt, future::BoxFuture};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    ContainerdError, Pace,
    connect::dial,
    events::{Change, subscribe},
    holdings::Holdings,
    introspection::content_root,
    link::{Link, Session},
    listing,
    relist::Relist,
    version::{Version, release},
};

/// Soon enough after a quick restart.
const FIRST_RETRY: Duration = Duration::from_millis(200);

/// Seldom enough to cost nothing while containerd is down for long, soon enough that nobody waits
/// for it after a start. Jitter may double it.
const LAST_RETRY: Duration = Duration::from_secs(3);

/// What the task keeps true.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) holdings: Arc<Holdings>,
    pub(super) link: watch::Sender<Link>,
    pub(super) pace: Pace,
}

type Listing = BoxFuture<'static, Result<listing::Blobs, ContainerdError>>;

// === impl Follower ===

impl Follower {
    /// Follows the containerd on `socket`, through its restarts; never returns.
    ///
    /// # Cancel safety
    /// May be dropped at any point; the holdings stay as they were.
    pub(super) async fn run(&self, socket: &Path) {
        let mut retries = retries();
        let mut told = None;
        loop {
            let Err(error) = self.follow(socket).await;
            if self.link.send_if_modified(Link::lose) {
                retries = self::retries();
                told = None;
            }
            let message = Some(error.to_string());
            if told != message {
                tracing::warn!(error = &error as &dyn Error, "waiting for containerd");
                told = message;
            }
            // The builder sets no end.
            sleep(retries.next().unwrap_or(LAST_RETRY)).await;
        }
    }

    async fn follow(&self, socket: &Path) -> Result<Infallible, ContainerdError> {
        let channel = dial(socket).await?;
        let root = content_root(channel.clone()).await?;
        // Where it does not say, all is done but what is for some releases only.
        let release = release(channel.clone()).await.ok();
        let version = release.as_deref().and_then(Version::parse);
        let session = Session { channel: channel.clone(), root, version };
        let mut events = pin!(subscribe(channel.clone()));
        let mut relist = Relist::new(self.pace, Instant::now());
        let mut listing: Option<Listing> = None;
        loop {
            tokio::select! {
                // The subscription is sent before the first listing.
                biased;
                event = events.next() => {
                    let change = event.ok_or(ContainerdError::EventsEnded)??;
                    self.apply(change, &mut relist);
                }
                listed = next(&mut listing) => {
                    listing = None;
                    self.holdings.end_listing(listed?);
                    self.link_up(&session);
                }
                () = sleep_until(relist.due()), if listing.is_none() => {
                    relist.started(Instant::now());
                    self.holdings.begin_listing();
                    listing = Some(Box::pin(listing::list(channel.clone())));
                }
            }
        }
    }

    fn apply(&self, change: Change, relist: &mut Relist) {
        match change {
            Change::Created { digest, size } => self.holdings.add(digest, size),
            Change::Deleted { digest } => self.holdings.remove(digest),
            Change::Images => relist.request(Instant::now()),
        }
    }

    /// Only the first listing of a session makes a difference.
    fn link_up(&self, session: &Session) {
        let newly = self.link.send_if_modified(|link| {
            let newly = !matches!(link, Link::Up(_));
            if newly {
                *link = Link::Up(session.clone());
            }
            newly
        });
        if newly {
            tracing::info!(root = %session.root.display(), "following containerd");
        }
    }
}

/// The end of the listing in flight; never when there is none.
async fn next(listing: &mut Option<Listing>) -> Result<listing::Blobs, ContainerdError> {
    match listing {
        Some(listing) => listing.await,
        None => pending().await,
    }
}

fn retries() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_RETRY)
        .with_max_delay(LAST_RETRY)
        .without_max_times()
        .with_jitter()
        .build()
}
