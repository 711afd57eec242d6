//! Looks at the ingests of one content folder whenever the kernel says that something changed.

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
    time::{Instant, sleep, sleep_until},
};

use super::{Arrivals, TOP};
use crate::{
    containerd::{
        arrival::{Arrival, Look},
        due::Due,
        verdict::settle,
    },
    inotify::{Inotify, WatchId},
};

/// Growth for which readers are woken at once; a look that finds less comes too soon.
const STEP: u64 = READ_CHUNK as u64;

/// Between two looks at least: at 1 GB/s a look finds 5 MB, and 200 looks a second cost next to
/// nothing beside such a download.
const LEAST_PAUSE: Duration = Duration::from_millis(5);

/// Between two looks at most. Where less than a step comes in this time, readers are woken by time:
/// as seldom as this.
pub(super) const MOST_PAUSE: Duration = Duration::from_millis(20);

/// Ingests that are watched at a time; the others are not shared before some of these have ended.
/// containerd opens one for each layer of each pull, a hundred pulls of large images together.
pub(super) const WATCHED: usize = 1024;

/// In one ingest: files that come, grow and go.
const INGEST: WatchFlags =
    TOP.union(WatchFlags::MODIFY).union(WatchFlags::MOVED_FROM).union(WatchFlags::DELETE);

/// The watch of one content folder. Dropping it gives up all that was growing.
pub(super) struct Watching<'a> {
    arrivals: &'a Arrivals,
    pub(super) inotify: Inotify,
    folder: PathBuf,
    pub(super) top: WatchId,
    pub(super) ingests: BTreeMap<WatchId, Arrival>,
    /// Whether more would be watched if there were room.
    pub(super) full: bool,
    pub(super) verdicts: FuturesUnordered<BoxFuture<'static, ()>>,
}

// === impl Watching ===

impl<'a> Watching<'a> {
    /// Watches `folder`; nothing has been looked at yet.
    pub(super) fn new(arrivals: &'a Arrivals, folder: &Path) -> io::Result<Self> {
        let inotify = Inotify::new()?;
        Ok(Self {
            arrivals,
            top: inotify.watch(folder, TOP)?,
            inotify,
            folder: folder.to_owned(),
            ingests: BTreeMap::new(),
            full: false,
            verdicts: FuturesUnordered::new(),
        })
    }

    /// Goes on until watching fails.
    pub(super) async fn run(&mut self) -> io::Result<Infallible> {
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
    pub(super) async fn carry_out(&mut self, due: Due) -> io::Result<u64> {
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
    pub(super) async fn rescan(&mut self, fresh: bool) -> io::Result<()> {
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
    use super::*;

    #[test]
    fn a_fast_download_is_looked_at_more_often() {
        let second = |bytes| pause(bytes, Duration::from_secs(1));
        assert_eq!(second(0), MOST_PAUSE);
        assert_eq!(second(25_000_000), MOST_PAUSE);
        assert_eq!(second(100 * STEP), Duration::from_millis(10));
        assert_eq!(second(10_000_000_000), LEAST_PAUSE);
    }
}
