//! How long things hold in a coordinator. Participants speak about once a second.

use tokio::time::Duration;

/// How soon to ask again after [`super::Verdict::NotYet`]. Short beside a heartbeat, so the wait
/// adds little; long beside a round trip, so a storm of waiting nodes stays a few hundred small
/// requests per second.
pub const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How often a participant sends its progress.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// A member not heard for this long is dead: three heartbeats missed, and half of one for the way.
pub const SILENCE: Duration = Duration::from_millis(3500);

/// The same for a member that a child lost since it was last heard. Two independent signs, a broken
/// stream and a missing heartbeat, so less of the second is needed; and what this shortens is the
/// wait of a whole cluster when the lead dies.
pub const DOUBT: Duration = Duration::from_millis(1500);

/// A lead that was growing and has not for this long lapses. Registries pause for a second now
/// and then; after three, somebody else should try.
pub const LAPSE: Duration = Duration::from_secs(3);

/// A lead that never grew gets company after this long, see [`super::Coordinator`]. Longer than
/// [`LAPSE`]: a first byte may wait for tokens, redirects and a cold cache upstream.
pub const SLOW_START: Duration = Duration::from_secs(5);

/// How long the lead stays vacant for the follower with the longest prefix. A living one is heard
/// within a heartbeat; after that anyone who asks may have it.
pub const HEIR_WAIT: Duration = Duration::from_millis(1200);

/// How long no lead is named in a room that was learned from followers, or from a node in mid-blob
/// that lost its parents: somebody leads, and is heard within a heartbeat.
pub const RELEARN: Duration = Duration::from_millis(1200);

/// Nobody who may lead waits longer than this for an answer other than "not yet". With
/// [`ASK_AGAIN`] it leaves a second of the 10 s that a request may be without bytes.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// How long a parent that a node has lost is not named to it. One heartbeat, so that it has been heard since
/// if it lives.
pub const RECONSIDER: Duration = HEARTBEAT;

/// The same as [`PATIENCE`] for who has tried a lost parent twice. A connection that fails takes 2 s, so a
/// request with nothing yet is over before its 10 s are.
pub const SECOND_PATIENCE: Duration = Duration::from_secs(2);

/// How long a lead of which nothing came may wait for a slot of its runtime before the registry counts as
/// slow: with [`SLOW_START`] after it, another lead is found before those who wait for this one have
/// waited for 10 s and all go to the registry.
pub const LINE: Duration = Duration::from_secs(3);

/// How long who came to a lead that is queued waits for it before another one is named. It leaves two seconds
/// and a half of the 9.5 s that its request has.
pub const PATIENCE_IN_LINE: Duration = Duration::from_secs(7);

/// A digest of which nothing was heard for this long is forgotten.
pub const FORGET: Duration = Duration::from_secs(10);
