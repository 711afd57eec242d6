//! The two nodes of a hop.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{HopError, child::Child};
use crate::scrape;

/// The mirror finds the peer within milliseconds of their meeting.
pub(super) const FOUND_LIMIT: Duration = Duration::from_secs(30);
/// Short beside a run.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A peer, and a mirror that joined it.
pub(super) struct Pair {
    peer: Child,
    mirror: Child,
    /// The blob's URL at the mirror.
    pub(super) url: String,
}

// === impl Pair ===

impl Pair {
    /// Starts both, and waits until the mirror finds what is at `path` in the peer's `store`.
    pub(super) async fn start(
        [peer, mirror]: [IpAddr; 2],
        store: &Path,
        empty: &Path,
        path: &str,
        key: Option<&Path>,
    ) -> Result<Self, HopError> {
        let (peer, at) = Child::node(peer, store, None, key).await?;
        let (mirror, through) = Child::node(mirror, empty, Some(at.p2p), key).await?;
        wait_until_found(through.mirror, path).await?;
        Ok(Self { peer, mirror, url: format!("http://{}{path}", through.mirror) })
    }

    pub(super) fn pids(&self) -> [u32; 2] {
        [self.peer.pid(), self.mirror.pid()]
    }
}

/// Asks for one byte until the mirror has it.
async fn wait_until_found(mirror: SocketAddr, path: &str) -> Result<(), HopError> {
    let end = Instant::now() + FOUND_LIMIT;
    while Instant::now() < end {
        if matches!(scrape::head(mirror, path).await, Ok(200)) {
            return Ok(());
        }
        sleep(ASK_AGAIN).await;
    }
    Err(HopError::NotFound)
}
