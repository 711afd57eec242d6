//! The coordinator of all digests that are closest to this node.

use std::{collections::HashMap, net::SocketAddr};

use tokio::time::{Duration, Instant};

use super::{Advice, Claim, Intent, Progress, Stage, Verdict, room::Room};
use crate::Digest;

/// Most digests at once. A storm of one image is a few dozen, and a node of a large cluster
/// coordinates few of all; 4,096 are some hundred images wanted within the same seconds.
const MOST_DIGESTS: usize = 4096;

/// Most members of one digest: 5,000 nodes in one storm, and again half as many that were replaced
/// within the seconds that the dead are remembered.
const MOST_MEMBERS: usize = 8192;

/// Most members of all digests together, at about 0.6 kB each 20 MB at worst. A small cluster has
/// one coordinator for all layers of an image; 5,000 nodes have many.
const MOST_MEMBERS_IN_ALL: usize = 32_768;

/// Children of a member that has not said how many it takes: the next in the chain, and one more
/// for a branch, another zone, or whoever lost its parent.
pub const SLOTS: u32 = 2;

/// How often rooms that nobody asks about are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// Answers claims and hears progress, for all digests that this node coordinates.
///
/// # Guarantees
/// - One coordinator names a second lead only while no lead grows: 5 s after the first was named
///   one more, after 10 s two, then 4, 8…; or to a node that waited 8 s and that nobody is ahead of.
/// - The parents that it named or heard of never form a ring.
/// - A member is sent no more children than it has slots.
/// - A follower is told to leave its parent only while it grows at less than a quarter of what its zone
///   could do seconds ago, and somebody has what its parent does not give it.
/// - A node that may lead, asks for a GET and asks again when told "not yet" is told to lead or whom
///   to follow within 9 s.
/// - A claim costs a logarithm of the number of members, amortised: each death is cleared away once,
///   by whoever comes next.
#[derive(Debug)]
pub struct Coordinator {
    rooms: HashMap<Digest, Room>,
    slots: u32,
    members: usize,
    /// The latest instant seen; time does not run backwards in here.
    clock: Option<Instant>,
    swept: Option<Instant>,
    counters: Counters,
}

/// What a coordinator has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Leads named, promotions among them.
    pub leads: u64,
    /// Leads named to nodes that were following.
    pub promotions: u64,
    /// Leads named because a node had waited too long.
    pub impatient: u64,
    /// Nodes told to leave a slow parent.
    pub moves: u64,
    /// Nodes told to leave a parent that serves others as well, for one that serves nobody.
    pub parted: u64,
    /// Nodes found leading that another coordinator, or nobody, had told to, beside a live lead.
    pub second_leads: u64,
    /// Claims of nodes that found no seat.
    pub turned_away: u64,
    /// Members looked at for all claims.
    pub looked_at: u64,
}

// === impl Coordinator ===

impl Default for Coordinator {
    fn default() -> Self {
        Self::new(SLOTS)
    }
}

impl Coordinator {
    /// A coordinator that sends `slots` children to a member that has not said how many it takes.
    pub fn new(slots: u32) -> Self {
        Self {
            rooms: HashMap::new(),
            slots,
            members: 0,
            clock: None,
            swept: None,
            counters: Counters::default(),
        }
    }

    /// Answers a claim.
    pub fn claim(&mut self, claim: &Claim, now: Instant) -> Verdict {
        let now = self.tick(now);
        let known = self.rooms.contains_key(&claim.digest);
        if !known && claim.intent == Intent::Look {
            return Verdict::NotYet;
        }
        let answer = self.visit(&claim.digest, now, |room, count| room.claim(claim, now, count));
        answer.unwrap_or(if claim.may_lead { Verdict::Lead } else { Verdict::NotYet })
    }

    /// Hears a participant.
    pub fn progress(&mut self, progress: &Progress, now: Instant) -> Advice {
        let now = self.tick(now);
        let known = self.rooms.contains_key(&progress.digest);
        if !known && progress.state == Stage::Gone {
            return Advice::CarryOn;
        }
        let advice =
            self.visit(&progress.digest, now, |room, count| room.progress(progress, now, count));
        advice.unwrap_or(Advice::CarryOn)
    }

    /// Forgets the dead and the digests that nobody speaks of. Claims and progress do it too, once
    /// a second; this is for when there are none.
    pub fn expire(&mut self, now: Instant) {
        let now = self.tick(now);
        self.sweep(now);
    }

    /// How many digests it has members of, or had within seconds.
    pub fn digests(&self) -> usize {
        self.rooms.len()
    }

    /// How many members there are, of all digests.
    pub fn members(&self) -> usize {
        self.members
    }

    /// What it has done.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whom `node` streams `digest` from, as this coordinator said or heard last.
    pub fn parent_of(&self, digest: &Digest, node: &SocketAddr) -> Option<SocketAddr> {
        self.rooms.get(digest)?.parent_of(node)
    }

    fn tick(&mut self, now: Instant) -> Instant {
        let now = self.clock.map_or(now, |clock| clock.max(now));
        self.clock = Some(now);
        if self.swept.is_none_or(|swept| now >= swept + SWEEP) {
            self.sweep(now);
        }
        now
    }

    fn sweep(&mut self, now: Instant) {
        self.swept = Some(now);
        self.rooms.retain(|_, room| {
            room.expire(now);
            !room.is_over(now)
        });
        self.members = self.rooms.values().map(Room::members).sum();
    }

    /// Goes into the room of a digest, making one if there is space: `None` if not.
    fn visit<R>(
        &mut self,
        digest: &Digest,
        now: Instant,
        act: impl FnOnce(&mut Room, &mut Counters) -> R,
    ) -> Option<R> {
        if self.rooms.len() >= MOST_DIGESTS && !self.rooms.contains_key(digest) {
            self.counters.turned_away += 1;
            return None;
        }
        let room = self.rooms.entry(*digest).or_insert_with(|| Room::new(self.slots, now));
        let before = room.members();
        room.set_full(before >= MOST_MEMBERS || self.members >= MOST_MEMBERS_IN_ALL);
        let result = act(room, &mut self.counters);
        self.members = self.members - before + room.members();
        Some(result)
    }
}
