//! How an ingest ended: its file went, and with it the blob, or into the blob.

use std::{sync::Arc, time::Duration};

use onepull_mirror::{
    Digest,
    store::{Ingest, blob_path},
};
use tokio::{
    fs,
    time::{sleep, timeout},
};

use super::{holdings::Holdings, link::Session, listing};

/// containerd moves the file inside the transaction that makes the blob known, and then syncs its
/// database: milliseconds, on a busy disk hundreds. Below the 3 s that a reader waits for this.
const DEADLINE: Duration = Duration::from_secs(2);

/// Between the first two questions to containerd; doubled each time, up to [`SELDOM`].
const SOON: Duration = Duration::from_millis(5);

/// Between two questions at most.
const SELDOM: Duration = Duration::from_millis(200);

/// Finds out how an ingest of `digest` ended and tells its readers and followers.
pub(super) async fn settle(
    holdings: Arc<Holdings>,
    session: Session,
    digest: Digest,
    ingest: Option<Ingest>,
) {
    // containerd 2.x may have told already.
    if ingest.as_ref().is_some_and(|ingest| !ingest.is_current()) {
        return;
    }
    if let Ok(Some(size)) = timeout(DEADLINE, complete(&session, &digest)).await {
        holdings.add(digest, size);
    }
    // Dropped before the blob is complete, the ingest is lost.
    drop(ingest);
}

/// The size of the blob once containerd knows it; `None` when its file is not there.
async fn complete(session: &Session, digest: &Digest) -> Option<u64> {
    let blob = blob_path(&session.root, digest);
    let mut pause = SOON;
    while fs::try_exists(&blob).await.unwrap_or(false) {
        if let Ok(Some(size)) = listing::size(session.channel.clone(), digest).await {
            return Some(size);
        }
        sleep(pause).await;
        pause = SELDOM.min(2 * pause);
    }
    None
}
