//! What this node announces, and when each announcement is due again.
//!
//! kad would republish everything at once and only at intervals; this queue spreads the walks, and
//! repeats one early when it did not reach far enough, or no longer does. Its record lies on the
//! nodes that were closest when it was made, and answered. A node that announced alone, or in a
//! cluster that has grown by half since, would not be found through the newcomers; one whose peers
//! were too busy to answer would hardly be found at all, and tries again after pauses that grow,
//! because they may stay silent. Nodes that merely restart cause nothing, because the record's
//! other holders still answer. Generic over the walk's name, which only kad can make.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    time::Duration,
};

use onepull_mirror::Digest;
use rand::Rng;
use tokio::time::Instant;

use super::{
    patience::Walk,
    reach::{expected, is_few, pause},
};

/// Walks at once. A walk asks 20 peers, so 640 requests are out at most; a node with 5,000 digests
/// has told its peers within seconds and still serves lookups beside it.
const MOST_WALKS: usize = 32;

/// A walk takes no longer; the record then goes to the peers that have answered. If those were too
/// few, the walk is repeated.
const LONGEST_WALK: Duration = Duration::from_secs(3);

/// The digests that this node announces.
#[derive(Debug)]
pub(super) struct Announcements<Id> {
    republish: Duration,
    held: HashMap<Digest, Held>,
    due: BTreeSet<(Instant, Digest)>,
    walks: HashMap<Id, (Digest, Walk)>,
}

#[derive(Debug)]
struct Held {
    /// Its place in `due`; `None` while its walk is under way.
    due: Option<Instant>,
    /// How many peers were live when its last walk began.
    peers: usize,
    /// Its last walks, in a row, that did not reach far enough.
    narrow: u32,
}

/// How long a node takes to announce all that it holds: each digest is due once in `republish`, and
/// then walks.
pub(super) fn round(republish: Duration) -> Duration {
    republish + LONGEST_WALK
}

// === impl Announcements ===

impl<Id: Copy + Eq + Hash> Announcements<Id> {
    pub(super) fn new(republish: Duration) -> Self {
        Self { republish, held: HashMap::new(), due: BTreeSet::new(), walks: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether walks are under way.
    pub(super) fn is_walking(&self) -> bool {
        !self.walks.is_empty()
    }

    /// Takes a digest in; it is due at once.
    pub(super) fn add(&mut self, digest: Digest, now: Instant) {
        if let std::collections::hash_map::Entry::Vacant(vacant) = self.held.entry(digest) {
            vacant.insert(Held { due: Some(now), peers: 0, narrow: 0 });
            self.due.insert((now, digest));
        }
    }

    /// Forgets a digest; a walk that is under way ends unheard.
    pub(super) fn remove(&mut self, digest: &Digest) {
        if let Some(due) = self.held.remove(digest).and_then(|held| held.due) {
            self.due.remove(&(due, *digest));
        }
    }

    /// When the next digest is due; `None` when there is none, or no walk is free.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let free = self.walks.len() < MOST_WALKS;
        self.due.first().filter(|_| free).map(|(due, _)| *due)
    }

    /// The next digest to announce, while `peers` are live. Report its walk by
    /// [`Announcements::walk_began`] or [`Announcements::walk_failed`].
    pub(super) fn next(&mut self, peers: usize, now: Instant) -> Option<Digest> {
        self.next_due().filter(|due| *due <= now)?;
        let (_, digest) = self.due.pop_first()?;
        if let Some(held) = self.held.get_mut(&digest) {
            (held.due, held.peers) = (None, peers);
        }
        Some(digest)
    }

    pub(super) fn walk_began(&mut self, id: Id, digest: Digest, now: Instant) {
        self.walks.insert(id, (digest, Walk::new(now, LONGEST_WALK)));
    }

    /// `digest` could not be announced.
    pub(super) fn walk_failed(&mut self, digest: Digest, now: Instant) {
        self.schedule(digest, false, now);
    }

    /// The walk `id` ended, its record went to `reached` peers, and `peers` are live. Those that
    /// came while it was under way count as well: [`Announcements::peers_came`] passed it over.
    pub(super) fn walk_ended(&mut self, id: Id, reached: usize, peers: usize, now: Instant) {
        let Some((digest, _)) = self.walks.remove(&id) else {
            return;
        };
        let asked = self.held.get(&digest).map_or(0, |held| held.peers);
        let is_wide = !is_few(reached, expected(asked)) && !is_few(asked, peers);
        self.schedule(digest, is_wide, now);
    }

    /// The walks to end now, because waiting longer is not worth it: their records then go to the
    /// peers that have answered. `progress` says of a walk how many peers were asked and heard.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        progress: impl Fn(&Id) -> Option<(u32, u32)>,
    ) -> Vec<Id> {
        let stuck = self.walks.iter_mut().filter_map(|(id, (_, walk))| {
            let (asked, heard) = progress(id)?;
            walk.is_enough(asked, heard, now).then_some(*id)
        });
        stuck.collect()
    }

    /// Makes all digests due whose walk knew too few of `peers`. The newcomers may answer where
    /// others did not, so pauses start over.
    pub(super) fn peers_came(&mut self, peers: usize, now: Instant) {
        for (digest, held) in &mut self.held {
            let Some(due) = held.due.filter(|due| *due > now) else {
                continue;
            };
            if is_few(held.peers, peers) {
                self.due.remove(&(due, *digest));
                self.due.insert((now, *digest));
                (held.due, held.narrow) = (Some(now), 0);
            }
        }
    }

    /// Its last walk reached far enough (`is_wide`) or not.
    fn schedule(&mut self, digest: Digest, is_wide: bool, now: Instant) {
        // `None`: it was withdrawn in the meantime. A `due`: and announced again.
        if let Some(held) = self.held.get_mut(&digest).filter(|held| held.due.is_none()) {
            held.narrow = if is_wide { 0 } else { held.narrow.saturating_add(1) };
            // Spread, so that what was announced together does not stay together for good.
            let spread = rand::rng().random_range(0.8..1.0);
            let due = now + pause(held.narrow, self.republish).mul_f64(spread);
            held.due = Some(due);
            self.due.insert((due, digest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::reach::FIRST_PAUSE;

    const REPUBLISH: Duration = Duration::from_secs(200);

    fn digest(n: usize) -> Digest {
        Digest::sha256(&n.to_be_bytes())
    }

    /// Announces one digest with `peers` live.
    fn announced(peers: usize) -> Announcements<usize> {
        let now = Instant::now();
        let mut announcements = Announcements::new(REPUBLISH);
        announcements.add(digest(0), now);
        announce(&mut announcements, peers, peers, now);
        announcements
    }

    /// Walks for the one digest, due by `now`, with `peers` live. Gives the pause that follows.
    fn announce(
        announcements: &mut Announcements<usize>,
        peers: usize,
        reached: usize,
        now: Instant,
    ) -> Duration {
        assert_eq!(announcements.next(peers, now), Some(digest(0)));
        announcements.walk_began(0, digest(0), now);
        announcements.walk_ended(0, reached, peers, now);
        announcements.next_due().unwrap() - now
    }

    #[tokio::test(start_paused = true)]
    async fn an_announcement_is_due_at_once_and_again_before_it_expires() {
        let mut announcements = announced(7);
        let now = Instant::now();
        assert_eq!(announcements.next(7, now), None);
        assert!(announcements.next_due().unwrap() >= now + REPUBLISH.mul_f64(0.8));
        assert_eq!(announcements.next(7, now + REPUBLISH), Some(digest(0)));
        assert_eq!(announcements.next(7, now + REPUBLISH), None, "its walk is under way");
    }

    #[tokio::test(start_paused = true)]
    async fn thousands_of_digests_walk_a_few_at_a_time() {
        let now = Instant::now();
        let mut announcements = Announcements::new(REPUBLISH);
        (0..5_000).for_each(|n| announcements.add(digest(n), now));
        let mut begun = 0;
        while let Some(digest) = announcements.next(7, now) {
            announcements.walk_began(begun, digest, now);
            begun += 1;
        }
        assert_eq!(begun, MOST_WALKS);
        assert_eq!(announcements.next_due(), None);
        announcements.walk_ended(0, 7, 7, now);
        assert!(announcements.next(7, now).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_withdrawn_digest_is_not_announced_again() {
        let mut announcements = announced(7);
        announcements.remove(&digest(0));
        assert_eq!((announcements.len(), announcements.next_due()), (0, None));

        let now = Instant::now();
        announcements.add(digest(1), now);
        announcements.next(7, now);
        announcements.walk_began(1, digest(1), now);
        announcements.remove(&digest(1));
        announcements.walk_ended(1, 0, 7, now);
        assert_eq!(announcements.next_due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_announcement_that_failed_or_reached_few_is_repeated_soon() {
        let now = Instant::now();
        for (peers, reached, again) in
            [(0, 0, false), (1, 0, true), (7, 5, false), (20, 2, true), (200, 20, false)]
        {
            let mut announcements = Announcements::new(REPUBLISH);
            announcements.add(digest(0), now);
            let pause = announce(&mut announcements, peers, reached, now);
            assert_eq!(pause <= FIRST_PAUSE, again, "{reached} of {peers} peers");
        }

        let mut announcements = Announcements::<usize>::new(REPUBLISH);
        announcements.add(digest(0), now);
        announcements.next(0, now);
        announcements.walk_failed(digest(0), now);
        assert!(announcements.next_due().unwrap() <= now + FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn peers_that_stay_silent_are_asked_ever_more_rarely_and_then_start_over() {
        let mut announcements = announced(7);
        let mut now = Instant::now() + REPUBLISH;
        for _ in 0..6 {
            now += announce(&mut announcements, 7, 1, now);
        }
        assert!(announce(&mut announcements, 7, 1, now) >= REPUBLISH.mul_f64(0.8));
        now += REPUBLISH;
        assert!(announce(&mut announcements, 7, 6, now) >= REPUBLISH.mul_f64(0.8));
        now += REPUBLISH;
        assert!(announce(&mut announcements, 7, 1, now) <= FIRST_PAUSE);

        announcements.peers_came(20, now);
        assert!(announce(&mut announcements, 20, 1, now) <= FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn peers_that_came_during_a_walk_are_told_soon() {
        let now = Instant::now();
        let mut announcements = Announcements::new(REPUBLISH);
        announcements.add(digest(0), now);
        announcements.next(4, now);
        announcements.walk_began(0, digest(0), now);
        announcements.peers_came(6, now);
        assert_eq!(announcements.next_due(), None, "its walk is under way");
        announcements.walk_ended(0, 4, 6, now);
        assert!(announcements.next_due().unwrap() <= now + FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_grew_is_told_again_and_a_restart_is_not() {
        let now = Instant::now();
        for (before, after, again) in [
            (0, 1, true),
            (1, 2, true),
            (4, 6, true),
            (7, 7, false),
            (7, 8, false),
            (20, 29, false),
        ] {
            let mut announcements = announced(before);
            announcements.peers_came(after, now);
            let due = announcements.next(after, now).is_some();
            assert_eq!(due, again, "from {before} to {after} peers");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_walk_is_ended_and_others_go_on() {
        let now = Instant::now();
        let mut announcements = Announcements::new(REPUBLISH);
        (0..2).for_each(|n| announcements.add(digest(n), now));
        for id in 0..2 {
            let digest = announcements.next(7, now).unwrap();
            announcements.walk_began(id, digest, now);
        }
        let progress = |id: &usize| Some((7, if *id == 0 { 6 } else { 1 }));
        assert_eq!(announcements.sweep(now, progress), [] as [usize; 0]);
        assert_eq!(announcements.sweep(now + LONGEST_WALK / 2, progress), [0]);
    }
}
