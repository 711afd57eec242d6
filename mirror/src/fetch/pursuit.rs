//! One blob's way here: which parent it comes from now, and the byte it has reached.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::time::{Duration, Instant, timeout};
use tracing::{info, warn};

use super::{FetchError, Shared, Want};
use crate::{
    Peer,
    digest::Verifier,
    metrics::Origin,
    peer::client::{PeerError, PeerStream},
    relay::Passing,
    sources::{self, Outlook, Wanted},
    store::ByteStream,
};

/// Searches for parents in a row that may bring no byte. The second one finds nodes that announced
/// the blob since, or the only holder again after its connection broke.
const FRUITLESS_SEARCHES: u32 = 2;

/// Between two questions whether to wait on for a parent that has paused.
const BRIEF: Duration = Duration::from_millis(500);

/// Pauses after which a parent that has more is left: the first, and brief ones for as long again.
const OVERDUE: u32 = 5;

/// Follows one parent after the other until the wanted bytes are here.
pub(super) struct Pursuit {
    shared: Arc<Shared>,
    want: Want,
    /// What the sources know of it.
    wanted: Wanted,
    /// The next byte to come.
    at: u64,
    /// One past the last wanted byte and the blob's size, once a parent said so.
    ends: Option<Ends>,
    /// For a blob that is wanted whole.
    check: Option<Verifier>,
    parents: BoxStream<'static, sources::Parent>,
    parent: Option<Parent>,
    /// Whether the sources were told to go outside.
    promoted: bool,
    fruitless: u32,
    /// For a blob that goes into this node's store.
    passing: Option<Passing>,
    /// All that sent bytes: if the hash is wrong it was one of them.
    contributors: Vec<Peer>,
}

#[derive(Clone, Copy)]
struct Ends {
    end: u64,
    total: u64,
}

struct Parent {
    source: sources::Parent,
    stream: PeerStream,
    /// Bytes it has sent.
    sent: u64,
    /// How often it was waited for without a word that it had no more, since something came.
    overdue: u32,
}

// === impl Pursuit ===

impl Pursuit {
    pub(super) fn new(shared: Arc<Shared>, want: Want) -> Self {
        let whole = want.first == 0 && want.end.is_none();
        let mut wanted = Wanted::new(want.digest, want.first, want.kept);
        (wanted.may_lead, wanted.patient) = (want.may_lead, want.patient);
        wanted.size = want.size.or_else(|| shared.sizes.get(&want.digest, Instant::now()));
        Self {
            at: want.first,
            ends: None,
            check: whole.then(|| Verifier::new(want.digest)),
            parents: shared.sources.parents(&wanted),
            parent: None,
            promoted: false,
            fruitless: 0,
            passing: None,
            contributors: Vec::new(),
            shared,
            want,
            wanted,
        }
    }

    /// Whether the bytes are compared with the digest: only those of a whole blob can be.
    pub(super) fn is_checked(&self) -> bool {
        self.check.is_some()
    }

    /// The first bytes and the size of the blob.
    pub(super) async fn first(&mut self) -> Result<(Bytes, u64), FetchError> {
        let bytes = self.next().await?.unwrap_or_default();
        let total = self.ends.map(|ends| ends.total);
        Ok((bytes, total.ok_or_else(|| self.no_source())?))
    }

    /// Everything from `first` on, fetched as it is asked for.
    ///
    /// No task and no queue of its own: on its way here a piece changes threads as seldom as it can,
    /// which is most of what it costs beside its hash (ADR 11).
    pub(super) fn into_stream(mut self: Box<Self>, first: Bytes) -> ByteStream {
        self.pass(&first);
        let first = stream::once(std::future::ready(Ok(first)));
        let rest = stream::try_unfold(self, |mut pursuit| async {
            Ok(pursuit.next_in_time().await?.map(|bytes| (bytes, pursuit)))
        });
        first.chain(rest).boxed()
    }

    /// Begins to pass the blob on to those who follow this node in it.
    fn pass(&mut self, first: &Bytes) {
        let Some(ends) = self.ends.filter(|_| self.want.kept) else { return };
        self.passing = self.shared.relay.begin(self.want.digest, self.want.first, ends.total);
        if let Some(passing) = &mut self.passing {
            passing.push(first, Instant::now());
        }
    }

    /// The next bytes, before the reader starves.
    async fn next_in_time(&mut self) -> io::Result<Option<Bytes>> {
        let came = timeout(self.shared.starved, self.next()).await;
        came.unwrap_or_else(|_| Err(self.no_source())).map_err(|error| {
            warn!(digest = %self.want.digest, at = self.at, %error, "stream broken off");
            self.shared.metrics.broken.inc();
            io::Error::other(error)
        })
    }

    /// The next bytes; `None` when all that was wanted has come and is right. A node that is
    /// promoted leaves its parent, if nothing comes from there: both wait for the same bytes. So does
    /// one that was told of a better parent, while the next piece is on its way: a slow one is late.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let promoted = self.wanted.promoted.clone();
        let departure = self.wanted.departure.clone();
        tokio::select! {
            biased;
            next = self.advance() => next,
            () = promoted.cancelled(), if !self.promoted => {
                self.promoted = true;
                self.leave_parent();
                // Boxed, so that the common way stays small: it is moved for every piece.
                Box::pin(self.advance()).await
            }
            from = departure.ordered() => {
                self.depart(from);
                Box::pin(self.advance()).await
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            if self.ends.is_some_and(|ends| self.at >= ends.end) {
                return if self.is_right() { Ok(None) } else { Err(self.mismatch()) };
            }
            let Some(parent) = &mut self.parent else {
                self.parent = Some(self.next_parent().await?);
                continue;
            };
            match parent.stream.next().await {
                Ok(Some(bytes)) => return self.take(bytes).map(Some),
                Ok(None) => self.lose_parent(&PeerError::WrongAnswer),
                Err(PeerError::Stalled(_)) if self.waits_on().await => {}
                Err(error) => self.lose_parent(&error),
            }
        }
    }

    /// Whether to wait on for a parent that has paused. All of a chain pause when its head does, and it
    /// stays a chain if nobody leaves; one that had more all the time is given as long again to send it.
    async fn waits_on(&mut self) -> bool {
        let parent = self.parent.as_ref().filter(|parent| parent.source.is_arriving());
        let Some(endpoint) = parent.map(|parent| parent.source.peer.endpoint) else { return false };
        let outlook = self.shared.sources.outlook(&self.wanted, endpoint).await;
        let Some(parent) = &mut self.parent else { return false };
        parent.overdue = match outlook {
            Outlook::Passed => {
                // Better ones than those that were named before.
                self.parents = self.shared.sources.parents(&self.wanted);
                return false;
            }
            Outlook::Best { have } if have <= self.at => 0,
            Outlook::Best { .. } | Outlook::Unknown => parent.overdue + 1,
        };
        parent.stream.wait_briefly(BRIEF);
        parent.overdue < OVERDUE
    }

    /// Leaves a slow or shared parent, if it is still the one, and asks for another from the byte
    /// reached.
    fn depart(&mut self, from: SocketAddr) {
        let is_here = |parent: &Parent| parent.source.peer.endpoint == from;
        if self.parent.as_ref().is_some_and(|parent| !is_here(parent)) {
            return;
        }
        if let Some(slow) = self.leave_parent() {
            info!(
                digest = %self.want.digest, peer = %slow.peer.endpoint, at = self.at,
                "left a parent for a better one"
            );
            self.shared.metrics.moves.inc();
            self.wanted.lose(from);
        }
        self.parents = self.shared.sources.parents(&self.wanted);
    }

    /// Accounts for bytes that came. The last piece passes only if the whole is right.
    fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, FetchError> {
        if let Some(ends) = self.ends {
            bytes.truncate(usize::try_from(ends.end - self.at).unwrap_or(usize::MAX));
        }
        self.at += bytes.len() as u64;
        self.wanted.reach(self.at);
        self.fruitless = 0;
        if let Some(parent) = &mut self.parent {
            if parent.sent == 0 {
                self.contributors.push(parent.source.peer.clone());
            }
            parent.sent += bytes.len() as u64;
            parent.overdue = 0;
        }
        if let Some(check) = &mut self.check {
            check.update(&bytes);
        }
        let last = self.ends.is_some_and(|ends| self.at >= ends.end);
        if last && !self.is_right() {
            return Err(self.mismatch());
        }
        if let Some(passing) = &mut self.passing {
            passing.push(&bytes, Instant::now());
        }
        Ok(bytes)
    }

    fn is_right(&self) -> bool {
        self.check.as_ref().is_none_or(|check| check.clone().matches())
    }

    fn mismatch(&mut self) -> FetchError {
        // One that claimed a length of 0 sent no byte and lied all the same.
        let silent = self.leave_parent().map(|source| source.peer);
        let silent = silent.filter(|peer| !self.contributors.contains(peer));
        self.shared.metrics.verification_failures.inc();
        for peer in self.contributors.iter().chain(&silent) {
            warn!(digest = %self.want.digest, peer = %peer.endpoint, "wrong bytes; peer banned for this blob");
            let key = (peer.endpoint, self.want.digest);
            self.shared.banned.insert(key, (), Instant::now());
            self.shared.doubt(peer.clone(), self.want.digest);
        }
        FetchError::Mismatch(self.want.digest)
    }

    /// The next parent that answers, positioned at the byte reached.
    async fn next_parent(&mut self) -> Result<Parent, FetchError> {
        loop {
            while let Some(source) = self.parents.next().await {
                if self.shared.is_avoided(&source, &self.want.digest) {
                    self.wanted.lose(source.peer.endpoint);
                    continue;
                }
                match self.open(&source).await {
                    Ok(stream) => return Ok(Parent { source, stream, sent: 0, overdue: 0 }),
                    Err(error) => self.report(&source, &error),
                }
            }
            self.fruitless += 1;
            // Before the first byte a miss must stay cheap: one search is enough.
            if self.at == self.want.first || self.fruitless >= FRUITLESS_SEARCHES {
                return Err(self.no_source());
            }
            self.parents = self.shared.sources.parents(&self.wanted);
        }
    }

    async fn open(&mut self, source: &sources::Parent) -> Result<PeerStream, PeerError> {
        let digest = self.want.digest;
        let client = &self.shared.client;
        let stream = client.open(source, &digest, self.at, self.want.end).await?;
        let total = self.shared.believable(&digest, stream.total)?;
        // One of the two is wrong, and nothing tells which.
        let before = self.ends.map(|ends| ends.total).or(self.want.size);
        if before.is_some_and(|before| before != total) {
            return Err(PeerError::OtherSize);
        }
        let end = self.want.end.unwrap_or(total).min(total);
        self.ends = Some(Ends { end, total });
        if self.at > self.want.first {
            self.shared.metrics.switches.inc();
        }
        Ok(stream)
    }

    fn lose_parent(&mut self, error: &PeerError) {
        // A size is only as good as the bytes that came with it.
        if self.at == self.want.first {
            self.ends = None;
        }
        if let Some(parent) = self.leave_parent() {
            self.report(&parent, error);
        }
    }

    /// A parent that only waits for its own is not lost: the coordinator knows whether to wait on.
    fn report(&self, source: &sources::Parent, error: &PeerError) {
        let waits = matches!(error, PeerError::Stalled(_) | PeerError::NotAhead);
        if !(source.is_arriving() && waits) {
            self.wanted.lose(source.peer.endpoint);
        }
        self.shared.report(source, &self.want.digest, error);
    }

    /// Ends with a parent and tells what it gave.
    fn leave_parent(&mut self) -> Option<sources::Parent> {
        let Parent { source, sent, .. } = self.parent.take()?;
        let Shared { node, metrics, .. } = &*self.shared;
        info!(
            target: "onepull::transfer", node, peer = %source.peer.endpoint,
            digest = %self.want.digest, bytes = sent, "received"
        );
        let labels = metrics.served(Origin::peer, &self.want.registry);
        metrics.received.get_or_create(&labels).inc_by(sent);
        Some(source)
    }

    fn no_source(&self) -> FetchError {
        FetchError::NoSource { digest: self.want.digest, at: self.at }
    }
}

impl Drop for Pursuit {
    /// However it ends (its reader may hang up before the first byte), what came is counted.
    fn drop(&mut self) {
        self.leave_parent();
    }
}
