//! Blobs that are still arriving: how far each is, and who is woken when.
//!
//! An ingest is one attempt at writing a blob; a later attempt is another ingest, and readers of the
//! first never see bytes of the second. Growth is recorded as often as the writer likes; readers are
//! woken in steps, so that neither a fast download nor a slow one costs a wake-up per write.

use std::{collections::BTreeMap, io, path::PathBuf};

use tokio::{
    fs,
    sync::watch,
    time::{Duration, Instant, timeout},
};

use super::{ByteStream, Presence, read::open_file, tail::tail_file};
use crate::Digest;

/// Growth that is worth waking readers for at once: as much as one read takes.
const STEP: u64 = super::READ_CHUNK as u64;

/// Steps that a small blob is passed on in, so that a chain of nodes shares it as a large one.
const STEPS: u64 = 16;

/// A step smaller than this costs more to wake for than to wait for.
const LEAST_STEP: u64 = 64 * 1024;

/// Growth by less than a step waits this long for more. A chain of 100 nodes adds 2 s at worst,
/// where each link needs more than 20 ms for a step, that is below 50 MB/s and in downloads of
/// minutes; and a slow link wakes a reader 50 times a second at most.
pub(super) const LINGER: Duration = Duration::from_millis(20);

/// What ended an ingest is known a moment after its file went: the runtime has moved the file and
/// writes that down. A disk that needs longer has other worries than this reader.
const VERDICT: Duration = Duration::from_secs(3);

/// How far one ingest is, as its readers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// More is coming. Next: any.
    Growing {
        /// Bytes that can be read now.
        have: u64,
        /// Bytes of the whole blob, once known.
        total: Option<u64>,
    },
    /// All is here, and an open file can be read to its end. The last state.
    Complete {
        /// Bytes of the blob.
        size: u64,
    },
    /// Aborted, vanished, or superseded by another ingest: nothing more comes. The last state.
    Lost,
}

/// A growing blob, to be read.
#[derive(Clone, Debug)]
pub struct Growing {
    path: PathBuf,
    growth: watch::Receiver<Growth>,
}

/// The ingests of a store, at most one for a digest. Owned by the [`super::Inventory`].
#[derive(Debug, Default)]
pub(super) struct Ingests {
    growing: BTreeMap<Digest, Entry>,
    begun: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    path: PathBuf,
    growth: watch::Sender<Growth>,
    notices: Notices,
}

/// When readers were last woken, and how far the blob was. Pure.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    told: u64,
    at: Option<Instant>,
}

// === impl Growing ===

impl Growing {
    /// Whether the ingest's file is where it was: if not, the ingest has ended, and the store is
    /// about to learn how.
    pub async fn is_there(&self) -> bool {
        fs::try_exists(&self.path).await.unwrap_or(false)
    }

    /// Streams from `offset` to the blob's end, as it grows; see [`tail_file`].
    ///
    /// `None` when the ingest ended before its file could be opened, and how is known now: look
    /// again what the store has.
    ///
    /// # Errors
    /// What the file system said.
    pub async fn open(mut self, offset: u64, stall: Duration) -> io::Result<Option<ByteStream>> {
        match open_file(&self.path).await {
            Ok((file, _)) => Ok(Some(tail_file(file, offset, self.growth, stall))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let ended =
                    self.growth.wait_for(|growth| !matches!(growth, Growth::Growing { .. }));
                // Without a verdict the blob counts as absent, like without a sender.
                let _ = timeout(VERDICT, ended).await;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
impl Growing {
    pub(super) fn into_growth(self) -> watch::Receiver<Growth> {
        self.growth
    }
}

// === impl Ingests ===

impl Ingests {
    /// Begins an ingest whose bytes go to `path`, in place of any other of this digest, which is
    /// lost. Returns its number.
    pub(super) fn begin(&mut self, digest: Digest, path: PathBuf) -> u64 {
        self.end(&digest, Growth::Lost);
        self.begun += 1;
        let growth = watch::Sender::new(Growth::Growing { have: 0, total: None });
        let entry = Entry { number: self.begun, path, growth, notices: Notices::default() };
        self.growing.insert(digest, entry);
        self.begun
    }

    /// Records growth; wakes the readers when it is worth it. Nothing shrinks.
    pub(super) fn grew(&mut self, digest: &Digest, have: u64, total: Option<u64>, now: Instant) {
        let Some(Entry { growth, notices, .. }) = self.growing.get_mut(digest) else { return };
        growth.send_if_modified(|growth| {
            *growth = Growth::Growing { have, total };
            notices.due(have, total, now)
        });
    }

    /// Whether the digest's ingest is the one of this number.
    pub(super) fn is_current(&self, digest: &Digest, number: u64) -> bool {
        self.growing.get(digest).is_some_and(|entry| entry.number == number)
    }

    /// Ends the digest's ingest and tells its readers how.
    pub(super) fn end(&mut self, digest: &Digest, how: Growth) {
        if let Some(entry) = self.growing.remove(digest) {
            entry.growth.send_replace(how);
        }
    }

    /// The ingest, once it has been seen to grow.
    pub(super) fn get(&self, digest: &Digest) -> Option<Growing> {
        self.presence(digest)?;
        let entry = self.growing.get(digest)?;
        Some(Growing { path: entry.path.clone(), growth: entry.growth.subscribe() })
    }

    /// How much is here, once it has been seen to grow.
    pub(super) fn presence(&self, digest: &Digest) -> Option<Presence> {
        match *self.growing.get(digest)?.growth.borrow() {
            Growth::Growing { have, total } if have > 0 => Some(Presence::Growing { have, total }),
            _ => None,
        }
    }
}

// === impl Notices ===

impl Notices {
    /// Whether readers are to be woken now. Growth that is not worth it is so after [`LINGER`]: a
    /// reader looks once more when that long has passed since it was woken.
    pub(crate) fn due(&mut self, have: u64, total: Option<u64>, now: Instant) -> bool {
        let grown = have.saturating_sub(self.told);
        let due = grown >= step(total)
            || grown > 0 && (total == Some(have) || self.at.is_none_or(|at| now >= at + LINGER));
        if due {
            *self = Self { told: have, at: Some(now) };
        }
        due
    }
}

fn step(total: Option<u64>) -> u64 {
    total.map_or(STEP, |total| (total / STEPS).clamp(LEAST_STEP, STEP))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_blob_is_passed_on_in_smaller_steps() {
        assert_eq!(step(None), 1024 * 1024);
        assert_eq!(step(Some(1 << 40)), 1024 * 1024);
        assert_eq!(step(Some(4 * 1024 * 1024)), 256 * 1024);
        assert_eq!(step(Some(5)), 64 * 1024);
    }

    #[test]
    fn the_first_byte_and_the_last_are_told_at_once() {
        let (mut notices, now) = (Notices::default(), Instant::now());
        assert!(notices.due(1, Some(3), now));
        assert!(!notices.due(2, Some(3), now));
        assert!(notices.due(3, Some(3), now));
        assert!(!notices.due(3, Some(3), now + LINGER), "nothing new");
    }

    proptest! {
        #[test]
        fn readers_are_woken_by_steps_and_time_and_miss_nothing_for_long(
            writes in proptest::collection::vec((1u64..3_000_000, 0u64..50), 1..100),
        ) {
            let (mut notices, start) = (Notices::default(), Instant::now());
            let (mut have, mut now, mut woken) = (0, start, 0);
            for (bytes, pause) in writes {
                have += bytes;
                now += Duration::from_millis(pause);
                woken += u128::from(notices.due(have, None, now));
                prop_assert!(have - notices.told < STEP, "a step is told at once");
                prop_assert!(now < notices.at.unwrap() + LINGER, "and less than a step soon after");
            }
            let time = now.duration_since(start).as_millis() / LINGER.as_millis();
            prop_assert!(woken <= 1 + u128::from(have / STEP) + time);
        }
    }
}
