//! The searches that are under way: who was found, who has yet to say where its endpoint is.
//!
//! A walk finds the DHT names of providers. Those of live peers are handed on at once; the others
//! have to be dialed, and are handed on when they have identified themselves. A search ends when
//! its walk has ended and nobody is awaited any more, or at its deadline. Generic over the walk's
//! name, which only kad can make.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    net::SocketAddr,
    time::Duration,
};

use libp2p::PeerId;
use onepull_mirror::Peer;
use tokio::{sync::mpsc, time::Instant};

use super::patience::Walk;

/// A search takes no longer. Whoever waits for it is a pull that could ask the registry instead.
const LONGEST_SEARCH: Duration = Duration::from_secs(1);

/// Providers that are not live peers yet and are dialed for one search. A pull takes the first few
/// that work; dialing every holder of a popular layer would cost each pull a storm of handshakes.
const MOST_DIALED: usize = 16;

/// The searches under way.
#[derive(Debug)]
pub(super) struct Lookups<Id> {
    running: HashMap<Id, Lookup>,
}

#[derive(Debug)]
struct Lookup {
    found: mpsc::Sender<Peer>,
    seen: HashSet<SocketAddr>,
    awaited: HashSet<PeerId>,
    dialed: usize,
    /// `None` when the walk has ended.
    walk: Option<Walk>,
    deadline: Instant,
}

/// What to do about a provider.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It was handed on, or is no longer of interest.
    Done,
    /// Dial it; the search waits until it has identified itself.
    Dial,
}

// === impl Lookups ===

impl<Id: Copy + Eq + Hash> Lookups<Id> {
    pub(super) fn new() -> Self {
        Self { running: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// A walk has begun; what it finds goes to `found`.
    pub(super) fn start(&mut self, id: Id, found: mpsc::Sender<Peer>, now: Instant) {
        let lookup = Lookup {
            found,
            seen: HashSet::new(),
            awaited: HashSet::new(),
            dialed: 0,
            walk: Some(Walk::new(now, LONGEST_SEARCH)),
            deadline: now + LONGEST_SEARCH,
        };
        self.running.insert(id, lookup);
    }

    /// The walk `id` found `provider`, which is `peer` when it is live.
    pub(super) fn offer(&mut self, id: Id, provider: PeerId, peer: Option<&Peer>) -> Offer {
        let Some(lookup) = self.running.get_mut(&id) else {
            return Offer::Done;
        };
        if let Some(peer) = peer {
            lookup.hand_on(peer);
            return Offer::Done;
        }
        if lookup.dialed == MOST_DIALED || !lookup.awaited.insert(provider) {
            return Offer::Done;
        }
        lookup.dialed += 1;
        Offer::Dial
    }

    /// `heard` of the peers that the walk `id` asked have answered or failed by `now`.
    pub(super) fn note(&mut self, id: Id, heard: u32, now: Instant) {
        if let Some(walk) = self.running.get_mut(&id).and_then(|lookup| lookup.walk.as_mut()) {
            walk.note(heard, now);
        }
    }

    /// `provider` said where its endpoint is.
    pub(super) fn identified(&mut self, provider: &PeerId, peer: &Peer) {
        for lookup in self.running.values_mut() {
            if lookup.awaited.remove(provider) {
                lookup.hand_on(peer);
            }
        }
        self.drop_done();
    }

    /// `provider` cannot be reached, or is not a onepull node.
    pub(super) fn unreachable(&mut self, provider: &PeerId) {
        for lookup in self.running.values_mut() {
            lookup.awaited.remove(provider);
        }
        self.drop_done();
    }

    /// The walk `id` has ended.
    pub(super) fn walk_ended(&mut self, id: Id) {
        if let Some(lookup) = self.running.get_mut(&id) {
            lookup.walk = None;
        }
        self.drop_done();
    }

    /// The walks to end now: nobody listens any more, or waiting longer is not worth it.
    /// `progress` says of a walk how many peers were asked and how many were heard.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        progress: impl Fn(&Id) -> Option<(u32, u32)>,
    ) -> Vec<Id> {
        let mut ended = Vec::new();
        self.running.retain(|id, lookup| {
            let goes_on = !lookup.found.is_closed() && now < lookup.deadline;
            let enough = lookup.walk.as_mut().is_some_and(|walk| {
                progress(id).is_some_and(|(asked, heard)| walk.is_enough(asked, heard, now))
            });
            if lookup.walk.is_some() && (enough || !goes_on) {
                lookup.walk = None;
                ended.push(*id);
            }
            goes_on
        });
        self.drop_done();
        ended
    }

    fn drop_done(&mut self) {
        self.running.retain(|_, lookup| lookup.walk.is_some() || !lookup.awaited.is_empty());
    }
}

// === impl Lookup ===

impl Lookup {
    /// A full channel means that the searcher has more peers than it takes: this one is dropped.
    fn hand_on(&mut self, peer: &Peer) {
        if self.seen.insert(peer.endpoint) {
            let _ = self.found.try_send(peer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u8) -> Peer {
        Peer { endpoint: SocketAddr::from(([10, 0, 0, host], 29901)), zone: None }
    }

    fn lookup() -> (Lookups<u8>, mpsc::Receiver<Peer>) {
        let (found, finds) = mpsc::channel(8);
        let mut lookups = Lookups::new();
        lookups.start(1, found, Instant::now());
        (lookups, finds)
    }

    #[tokio::test(start_paused = true)]
    async fn live_providers_are_handed_on_once_and_the_search_ends_with_its_walk() {
        let (mut lookups, mut finds) = lookup();
        for _ in 0..2 {
            assert_eq!(lookups.offer(1, PeerId::random(), Some(&peer(1))), Offer::Done);
        }
        lookups.walk_ended(1);
        assert_eq!(finds.recv().await, Some(peer(1)));
        assert_eq!(finds.recv().await, None);
        assert!(lookups.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_identifies_itself_after_the_walk_is_still_found() {
        let (mut lookups, mut finds) = lookup();
        let (slow, dead) = (PeerId::random(), PeerId::random());
        assert_eq!(lookups.offer(1, slow, None), Offer::Dial);
        assert_eq!(lookups.offer(1, slow, None), Offer::Done, "it is dialed once");
        assert_eq!(lookups.offer(1, dead, None), Offer::Dial);
        lookups.walk_ended(1);
        lookups.identified(&slow, &peer(2));
        assert_eq!(finds.recv().await, Some(peer(2)));
        lookups.unreachable(&dead);
        assert_eq!(finds.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_waits_for_nobody_past_its_deadline() {
        let (mut lookups, mut finds) = lookup();
        assert_eq!(lookups.offer(1, PeerId::random(), None), Offer::Dial);
        lookups.walk_ended(1);
        assert_eq!(lookups.sweep(Instant::now() + LONGEST_SEARCH, |_| None), [] as [u8; 0]);
        assert_eq!(finds.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_ends_when_nobody_listens_or_nothing_more_comes() {
        let (mut lookups, finds) = lookup();
        let now = Instant::now();
        assert_eq!(lookups.sweep(now, |_| Some((7, 6))), [] as [u8; 0]);
        drop(finds);
        assert_eq!(lookups.sweep(now, |_| Some((7, 6))), [1]);

        let (mut lookups, mut finds) = lookup();
        let later = Instant::now() + LONGEST_SEARCH / 2;
        assert_eq!(lookups.sweep(now, |_| Some((7, 6))), [] as [u8; 0]);
        assert_eq!(lookups.sweep(later, |_| Some((7, 6))), [1]);
        assert_eq!(finds.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_search_dials_a_bounded_number_of_providers() {
        let (mut lookups, _finds) = lookup();
        let offers = (0..100).map(|_| lookups.offer(1, PeerId::random(), None));
        assert_eq!(offers.filter(|offer| *offer == Offer::Dial).count(), MOST_DIALED);
    }
}
