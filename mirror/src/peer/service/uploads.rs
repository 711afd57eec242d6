//! Upload slots: how many streams a node serves at a time, and who loses a slot that it does not use.
//!
//! Coordinators send a node no more followers than it has slots, but two of them may disagree, and
//! whoever searches the router asks no coordinator. What is too much is refused here, at once, and
//! the peer asks the next one: an uplink shared by everybody is slow for everybody.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, stream};
use tokio::time::{Duration, Instant};

use crate::{Digest, claim::SLOTS, store::ByteStream};

/// Followers of one blob. One more than coordinators send: a node that has waited for too long is
/// sent to a lead whose slots are all taken, and would go to the registry if it were refused.
const FOLLOWERS: usize = SLOTS as usize + 1;

/// Streams of peers that follow nobody: those that found this node by searching, and ranges. They
/// come without a coordinator's say, so all of a large cluster may come at once. At 10 Gbit/s each
/// of 32 gets 300 Mbit/s and at 1 Gbit/s 30, about what a registry gives; a share smaller than that
/// is worth less than a refusal.
const OTHERS: usize = 32;

/// All streams. Half of them are left to followers, who are worth more, because others follow them:
/// ten blobs with every slot taken, where a node receives three at a time. Socket buffers of a few MiB
/// each make this the bound on an agent's memory as well.
const STREAMS: usize = 2 * OTHERS;

/// The upload slots of a node.
#[derive(Debug)]
pub(super) struct Uploads {
    streams: Mutex<Streams>,
    /// A reader that takes nothing for this long may lose its slot.
    stall: Duration,
}

/// One stream's right to be served. The slot is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    uploads: Arc<Uploads>,
    number: u64,
}

#[derive(Debug, Default)]
struct Streams {
    running: Vec<Upload>,
    /// The number of the next stream.
    next: u64,
}

#[derive(Debug)]
struct Upload {
    number: u64,
    digest: Digest,
    /// The node that follows this one in the blob, if one does.
    follower: Option<SocketAddr>,
    /// Since when its reader has not come for more.
    unread: Option<Instant>,
}

// === impl Uploads ===

impl Uploads {
    /// Readers that take nothing for `stall` lose their slots to whoever asks.
    pub(super) fn new(stall: Duration) -> Arc<Self> {
        Arc::new(Self { streams: Mutex::default(), stall })
    }

    /// A slot for a stream of `digest`, if one is free or its reader asleep.
    pub(super) fn admit(
        self: &Arc<Self>,
        digest: Digest,
        follower: Option<SocketAddr>,
        now: Instant,
    ) -> Option<Slot> {
        let mut streams = self.streams();
        if !streams.have_room(&digest, follower) {
            streams.running.retain(|upload| !upload.is_stalled(self.stall, now));
        }
        let room = streams.have_room(&digest, follower);
        let number = room.then(|| streams.add(digest, follower))?;
        Some(Slot { uploads: Arc::clone(self), number })
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        // Each critical section adds, removes or changes one entry.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Streams ===

impl Streams {
    /// A follower that comes again has given up its stream, even if that is not known here yet.
    fn have_room(&self, digest: &Digest, follower: Option<SocketAddr>) -> bool {
        let same_kind = |upload: &&Upload| match follower {
            Some(_) => upload.digest == *digest && upload.follower.is_some(),
            None => upload.follower.is_none(),
        };
        let is_other = |upload: &&Upload| follower.is_none() || upload.follower != follower;
        let taken = self.running.iter().filter(same_kind).filter(is_other).count();
        let slots = if follower.is_some() { FOLLOWERS } else { OTHERS };
        taken < slots && self.running.len() < STREAMS
    }

    fn add(&mut self, digest: Digest, follower: Option<SocketAddr>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.running.push(Upload { number, digest, follower, unread: None });
        number
    }
}

// === impl Upload ===

impl Upload {
    fn is_stalled(&self, stall: Duration, now: Instant) -> bool {
        self.unread.is_some_and(|since| now >= since + stall)
    }
}

// === impl Slot ===

impl Slot {
    /// Serves `bytes` in this slot, as long as it has it.
    pub(super) fn hold(self, bytes: ByteStream) -> ByteStream {
        let held = stream::unfold((bytes, Some(self)), |(mut bytes, slot)| async {
            let slot = slot?;
            if !slot.mark(None) {
                return Some((Err(unread()), (bytes, None)));
            }
            let chunk = bytes.next().await?;
            slot.mark(Some(Instant::now()));
            Some((chunk, (bytes, Some(slot))))
        });
        held.boxed()
    }

    /// Says since when bytes lie here unread. Returns whether the slot is still this stream's.
    fn mark(&self, unread: Option<Instant>) -> bool {
        let mut streams = self.uploads.streams();
        let upload = streams.running.iter_mut().find(|upload| upload.number == self.number);
        upload.map(|upload| upload.unread = unread).is_some()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.uploads.streams().running.retain(|upload| upload.number != self.number);
    }
}

fn unread() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "its reader took nothing, and its slot was wanted")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    fn node(number: u16) -> Option<SocketAddr> {
        Some(SocketAddr::from(([10, 0, 0, 1], number)))
    }

    fn digest(name: &str) -> Digest {
        Digest::sha256(name.as_bytes())
    }

    /// As many streams as are let in, of nodes 1, 2, ….
    fn fill(uploads: &Arc<Uploads>, digest: Digest, follow: bool) -> Vec<Slot> {
        let now = Instant::now();
        let nodes = (1..).map(|number| node(number).filter(|_| follow));
        nodes.map_while(|node| uploads.admit(digest, node, now)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_blob_has_a_few_followers_and_leaves_the_slots_of_others_alone() {
        let (uploads, now) = (Uploads::new(STALL), Instant::now());
        let mut slots = fill(&uploads, digest("a"), true);
        assert_eq!(slots.len(), FOLLOWERS);
        let others = fill(&uploads, digest("a"), false);
        assert_eq!(others.len(), OTHERS);
        assert!(uploads.admit(digest("b"), node(9), now).is_some());
        drop(slots.pop());
        assert!(uploads.admit(digest("a"), node(9), now).is_some(), "the slot is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_comes_again_takes_its_own_slot() {
        let (uploads, now) = (Uploads::new(STALL), Instant::now());
        let _slots = fill(&uploads, digest("a"), true);
        assert!(uploads.admit(digest("a"), node(9), now).is_none());
        let again = uploads.admit(digest("a"), node(1), now).unwrap();
        assert!(uploads.admit(digest("a"), node(9), now).is_none(), "it is no other's");
        drop(again);
    }

    #[tokio::test(start_paused = true)]
    async fn no_mix_of_streams_is_more_than_the_node_serves() {
        let uploads = Uploads::new(STALL);
        let mut slots = Vec::new();
        for blob in 0..STREAMS {
            slots.extend(fill(&uploads, digest(&blob.to_string()), true));
        }
        assert_eq!(slots.len(), STREAMS);
        assert!(uploads.admit(digest("a"), None, Instant::now()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_sleeps_loses_its_slot_when_somebody_wants_it() {
        let uploads = Uploads::new(STALL);
        let bytes = || stream::repeat_with(|| Ok(Bytes::from_static(b"x"))).boxed();
        let slots = fill(&uploads, digest("a"), true).into_iter();
        let mut streams: Vec<_> = slots.map(|slot| slot.hold(bytes())).collect();
        for stream in &mut streams {
            assert!(stream.next().await.unwrap().is_ok());
        }
        tokio::time::advance(STALL).await;
        assert!(streams[0].next().await.unwrap().is_ok(), "nobody wanted its slot");
        let _new = uploads.admit(digest("a"), node(9), Instant::now()).unwrap();
        assert!(streams[0].next().await.unwrap().is_ok(), "it has just read");
        assert!(streams[1].next().await.unwrap().is_err());
        assert!(streams[1].next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_waits_for_bytes_does_not_sleep() {
        let uploads = Uploads::new(STALL);
        let slots = fill(&uploads, digest("a"), true).into_iter();
        let mut streams: Vec<_> = slots.map(|slot| slot.hold(stream::pending().boxed())).collect();
        for stream in &mut streams {
            assert!(tokio::time::timeout(2 * STALL, stream.next()).await.is_err());
        }
        assert!(uploads.admit(digest("a"), node(9), Instant::now()).is_none());
    }
}
