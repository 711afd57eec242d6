//! How long each wait may last. Every one ends in the same way: the runtime is sent to the registry.

use std::time::Duration;

/// The waits of a request that is not served from the local store.
///
/// Whatever the others add up to (peers are asked one after the other), [`Deadlines::first_byte`]
/// ends a request that has no bytes yet.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a search while searches end by themselves. A loaded link queues 100 ms and more, so a
    /// search that is cut short there would fetch from the registry what a peer has.
    pub lookup: Duration,
    /// For a search soon after one that nobody answered in time: then nobody is likely to answer
    /// this one, and a miss must stay below 20 ms. A first answer comes sooner than that from any
    /// idle network.
    pub lookup_unanswered: Duration,
    /// For a peer's answer to begin: the connection and the head. A lost SYN is sent again after
    /// 1 s, and a saturated uplink does lose them.
    pub answer: Duration,
    /// Between two pieces of a stream that has begun. Longer than [`Deadlines::answer`]: there the
    /// next peer is nearly free, here it costs another search.
    pub stall: Duration,
    /// Over which a complete parent has to send 64 KiB a second on average. Such pieces come before
    /// [`Deadlines::stall`], one after the other, and a layer would take for ever.
    pub trickle: Duration,
    /// The same as [`Deadlines::stall`] for a parent that is still receiving the blob itself. Then the coordinator is asked
    /// whether to wait on: it may be the lead that is slow, and all wait for the same bytes.
    pub pause: Duration,
    /// For a claim while coordinators answer. Eight nodes that start to pull at once on two cores
    /// keep each other waiting for half a second, and a claim given up is a second pull.
    pub claim: Duration,
    /// For a claim soon after one that nobody answered in time.
    pub claim_unanswered: Duration,
    /// For the answer of a parent that is about to receive the blob itself: as long as the request
    /// may take.
    pub arrival: Duration,
    /// For a layer whose turn has not come, before its request is sent away to ask again: until then
    /// the others of its image have asked as well, so the slot is of use to them.
    pub turn: Duration,
    /// Between two pieces of a stream to the runtime, before it gives its slot back until it moves
    /// again: most pauses of peers are shorter, and others may wait for the slot.
    pub still: Duration,
    /// For the first byte of a request while two others of the runtime wait already, before it makes
    /// room. Long beside a claim and a parent's answer; short, because a pull that has nothing to do
    /// with theirs is queued behind it, and behind each other layer of their images, and the small
    /// image of a pod may be late by 4 s at most.
    pub crowded: Duration,
    /// From the request to its first byte, all searches and peers together.
    pub first_byte: Duration,
    /// For the first byte of a blob that is wanted ahead of any pull, before it is claimed again. Shorter
    /// than [`Deadlines::arrival`]: a parent that only waits itself is not given up.
    pub ahead: Duration,
    /// Between two pieces handed to the runtime, all searches and parents together. After that the
    /// registry is faster. Two seconds until a pause counts and 8 s of the coordinator's patience are
    /// over before, with time for the lead that it names then: a storm whose followers give up
    /// together costs the registry a copy for each of them.
    pub starved: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            lookup: Duration::from_millis(500),
            lookup_unanswered: Duration::from_millis(18),
            answer: Duration::from_millis(2000),
            stall: Duration::from_secs(5),
            trickle: Duration::from_secs(10),
            pause: Duration::from_secs(2),
            claim: Duration::from_secs(1),
            claim_unanswered: Duration::from_millis(18),
            arrival: Duration::from_secs(9),
            turn: Duration::from_millis(200),
            still: Duration::from_secs(1),
            crowded: Duration::from_millis(700),
            first_byte: Duration::from_millis(9500),
            ahead: Duration::from_secs(8),
            starved: Duration::from_secs(15),
        }
    }
}
