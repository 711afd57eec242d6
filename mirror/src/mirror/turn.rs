//! Gives a download slot back when its blob has to wait (ADR 8).
//!
//! containerd holds one of its three slots while it waits for an answer. An answer without a byte,
//! ended before its length, makes it ask again once others have had the slot.

use std::{io, pin::pin};

use futures::stream;
use http::Response;
use tokio::time::{Duration, Instant, sleep, timeout};
use tracing::debug;

use super::{Inner, parking::Wait, reserving::LOOKS_AGAIN};
use crate::{
    Digest,
    claim::timing::ASK_AGAIN,
    range::ByteRange,
    request::Name,
    response::{self, Body, Refusal},
};

/// How long a blob's turns are remembered. containerd fails a pull at the fourth empty answer in a
/// row, and a blob may wait for its slot as long as the layers before it take.
pub(super) const REMEMBERED: Duration = Duration::from_secs(3600);

/// Blobs remembered, many more than wait at a time.
pub(super) const TURNS: usize = 4096;

/// Empty answers for a blob. containerd fails the pull at the fourth in a row; one is left to whatever
/// else may break, an agent that is restarted for example.
const MOST_TURNS: u32 = 2;

/// The part of a request's patience that the third one has when all that is left to it is to wait: with
/// `Deadlines::crowded` 3.9 s, so that whoever is behind it comes in time.
const HELD: u32 = 3;

/// Smaller blobs come within one answer, so their requests never wait for long; and where they do,
/// the registry may as well send them to every node.
pub(super) const LEAST: u64 = 1024 * 1024;

/// What a request does that nothing came for, so that its slot is of use to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is answered with nothing of this many bytes, and asked again.
    Again(u64),
    /// It goes to the registry: a few bytes, even if every node takes them there.
    Registry,
    /// It waits: from the registry it would be one more copy, and one for each node that is stuck as
    /// this one is.
    Hold,
}

/// What a blob's request is answered with; nothing is a miss.
type Found = Option<Result<Response<Body>, Refusal>>;

impl Inner {
    /// What `search` finds while its request may hold a download slot, else what makes room. The
    /// caller brings the deadline of the request.
    pub(super) async fn blob_in_turn(
        &self,
        name: &Name,
        digest: Digest,
        range: ByteRange,
        search: impl Future<Output = Found>,
    ) -> Found {
        let is_whole = matches!(range, ByteRange::Whole | ByteRange::From(0));
        // A closed range is a lazy snapshotter's, and takes none of containerd's slots.
        if !name.by_containerd || !(is_whole || matches!(range, ByteRange::From(_))) {
            return search.await;
        }
        let is_out_of_turn = is_whole && self.is_out_of_turn(&digest).await;
        if is_out_of_turn && let Way::Again(size) = self.way_out(&digest) {
            sleep(self.turn).await;
            return self.ask_again(digest, range, size);
        }
        if is_out_of_turn || is_whole && self.is_behind(&digest) {
            self.wait_for_others(&digest).await;
        }
        let mut search = pin!(search);
        let wait = match self.parking.wait(search.as_mut()).await {
            // What is on its way is worth its slot.
            Wait::Crowded if self.participant.is_arriving(&digest).await => return search.await,
            Wait::Crowded => match self.way_out(&digest) {
                Way::Again(size) => return self.ask_again(digest, range, size),
                Way::Registry => return None,
                Way::Hold => self.parking.hold(search.as_mut(), self.first_byte / HELD).await,
            },
            wait => wait,
        };
        match wait {
            Wait::Over(found) => found,
            Wait::Parked(_space) => match timeout(self.much_of_its_time(), search.as_mut()).await {
                Ok(found) => found,
                Err(_) if self.participant.is_arriving(&digest).await => search.await,
                Err(_) => match self.way_out(&digest) {
                    Way::Again(size) => self.ask_again(digest, range, size),
                    Way::Registry | Way::Hold => search.await,
                },
            },
            Wait::Crowded => None,
        }
    }

    /// How long a request waits for somebody who may not come, and still has time for what comes then.
    fn much_of_its_time(&self) -> Duration {
        self.first_byte * 2 / 3
    }

    /// Whether a request for a blob can be sent away to ask again.
    pub(super) fn may_ask_again(&self, digest: &Digest) -> bool {
        matches!(self.way_out(digest), Way::Again(_))
    }

    /// The same for a manifest. It is small, so the one too many goes to the registry.
    pub(super) async fn manifest_in_turn<T>(
        &self,
        name: &Name,
        search: impl Future<Output = Option<T>>,
    ) -> Option<T> {
        if !name.by_containerd {
            return search.await;
        }
        let mut search = pin!(search);
        match self.parking.wait(search.as_mut()).await {
            Wait::Over(found) => found,
            Wait::Parked(_space) => search.await,
            Wait::Crowded => None,
        }
    }

    /// Leaves a layer to those who are about to come to it: nodes that share the image with this one. If
    /// this node were told to lead, it would wait for a slot behind all that its runtime has queued, and they for it.
    async fn wait_for_others(&self, digest: &Digest) {
        if !self.is_shared(digest) {
            return;
        }
        let others = async {
            if self.peer_size(digest).await.is_some() {
                return;
            }
            let mut in_turn = None;
            while !self.participant.is_arriving(digest).await
                && self.is_shared(digest)
                && self.comes_to_others(digest, &mut in_turn).await
            {
                sleep(ASK_AGAIN).await;
            }
        };
        let came = timeout(self.much_of_its_time(), others).await.is_ok();
        debug!(%digest, came, "left to others until now");
    }

    /// Whether others may come to a layer better than this node: before its turn, unless this node leads
    /// something that waits for the slot, and in its turn as long as those that reserve take to ask.
    async fn comes_to_others(&self, digest: &Digest, in_turn: &mut Option<Instant>) -> bool {
        if self.is_out_of_turn(digest).await {
            return !self.participant.leads_in_queue();
        }
        let now = Instant::now();
        self.is_behind(digest) && now < *in_turn.get_or_insert(now) + LOOKS_AGAIN
    }

    /// Whether the runtime has a layer in its queue that those who share its image have reserved: it was
    /// sent away, and is asked for again whenever a slot comes free.
    fn is_behind(&self, digest: &Digest) -> bool {
        self.has_passed_by(digest) && self.turns.get(digest, Instant::now()).is_some()
    }

    fn way_out(&self, digest: &Digest) -> Way {
        let turns = self.turns.get(digest, Instant::now()).unwrap_or(0);
        match self.fetcher.known_size(digest) {
            Some(size) if size < LEAST => Way::Registry,
            Some(size) if turns < MOST_TURNS => Way::Again(size),
            _ => Way::Hold,
        }
    }

    /// The empty answer, where the range leaves it a length.
    fn ask_again(&self, digest: Digest, range: ByteRange, size: u64) -> Found {
        let part = match range {
            ByteRange::Whole | ByteRange::From(0) => None,
            ByteRange::From(first) if first < size => Some(first..size),
            _ => return None,
        };
        debug!(%digest, "nothing came yet; the runtime may ask again");
        let now = Instant::now();
        let turns = self.turns.get(&digest, now).unwrap_or(0);
        self.turns.insert(digest, turns + 1, now);
        self.participant.send_away(&digest);
        self.metrics.sent_away.inc();
        let end = io::Error::new(io::ErrorKind::TimedOut, "nothing came yet");
        let body = stream::once(std::future::ready(Err(end)));
        Some(Ok(response::blob(&digest, size, part, response::streamed(Box::pin(body)))))
    }
}
