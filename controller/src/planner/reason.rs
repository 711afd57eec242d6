//! Why a node does not hold an image that it should.

use std::fmt;

use jiff::Timestamp;

use super::{CacheId, NodeName, Platform, Trouble, words::Bytes};

/// Why a node does not hold an image: what it waits for, why it is left out, or what went wrong there.
/// The list is closed. Its words say what a person can do, where there is something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is being brought in.
    Warming,
    /// The node brings in one image after the other.
    WaitingForOtherImages,
    /// The node has been told, and its agent has not answered.
    WaitingForAgent,
    /// What the name stands for has not been found out yet.
    WaitingForResolution,
    /// No node has begun to pull from the registry (Stream), or none is done (Staged).
    WaitingForSeed {
        /// The node that is to pull, if there is one.
        seed: Option<NodeName>,
        /// When the next one is chosen, where that takes time.
        next: Option<Timestamp>,
    },
    /// As many nodes as may are at work.
    WaitingForTurn {
        /// How many.
        most: usize,
    },
    /// The window is closed.
    WaitingForWindow {
        /// When it opens; `None` is never.
        opens: Option<Timestamp>,
    },
    /// It went wrong there, and others have the turn meanwhile.
    WaitingForRetry {
        /// When it is tried again.
        after: Timestamp,
        /// What went wrong.
        because: Box<Reason>,
    },
    /// The node is not ready, and is not counted.
    NodeNotReady,
    /// The node is virtual, and is not counted.
    VirtualNode,
    /// No agent has reported from the node.
    NoAgent,
    /// The image does not fit into what the node may hold.
    OverDiskBudget {
        /// Bytes that it takes.
        needs: u64,
        /// Bytes that are left.
        left: u64,
    },
    /// The node would hold more than the operator allows for these caches.
    LimitReached {
        /// The namespace that may have no more there; `None` is all of them together.
        namespace: Option<Namespace>,
    },
    /// Another cache means another digest by the same name, and is older.
    TagConflict {
        /// That cache.
        with: CacheId,
    },
    /// The image has nothing for what the node runs.
    PlatformMissing {
        /// What it runs.
        platform: Platform,
    },
    /// No other node has it, and this one is not to ask the registry.
    NoPeerHasIt,
    /// It went wrong.
    Failed(Trouble),
}

/// The name of a namespace.
pub type Namespace = std::sync::Arc<str>;

/// How grave a reason is: the graver one is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Somebody may have to do something.
    Wrong,
    /// Nothing is being done, and that is meant.
    Held,
    /// It goes on.
    UnderWay,
}

// === impl Reason ===

impl Reason {
    /// Its name, as in status and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Warming => "Warming",
            Self::WaitingForOtherImages => "WaitingForOtherImages",
            Self::WaitingForAgent => "WaitingForAgent",
            Self::WaitingForResolution => "WaitingForResolution",
            Self::WaitingForSeed { .. } => "WaitingForSeed",
            Self::WaitingForTurn { .. } => "WaitingForTurn",
            Self::WaitingForWindow { .. } => "WaitingForWindow",
            Self::WaitingForRetry { .. } => "WaitingForRetry",
            Self::NodeNotReady => "NodeNotReady",
            Self::VirtualNode => "VirtualNode",
            Self::NoAgent => "NoAgent",
            Self::OverDiskBudget { .. } => "OverDiskBudget",
            Self::LimitReached { .. } => "LimitReached",
            Self::TagConflict { .. } => "TagConflict",
            Self::PlatformMissing { .. } => "PlatformMissing",
            Self::NoPeerHasIt => "NoPeerHasIt",
            Self::Failed(trouble) => trouble.kind.as_str(),
        }
    }

    /// How grave it is.
    pub fn gravity(&self) -> Gravity {
        match self {
            Self::Warming
            | Self::WaitingForOtherImages
            | Self::WaitingForResolution
            | Self::WaitingForSeed { .. }
            | Self::WaitingForTurn { .. }
            | Self::NoPeerHasIt => Gravity::UnderWay,
            Self::WaitingForWindow { .. } | Self::NodeNotReady | Self::VirtualNode => Gravity::Held,
            Self::WaitingForRetry { because, .. } => because.gravity(),
            Self::WaitingForAgent
            | Self::NoAgent
            | Self::OverDiskBudget { .. }
            | Self::LimitReached { .. }
            | Self::TagConflict { .. }
            | Self::PlatformMissing { .. }
            | Self::Failed(_) => Gravity::Wrong,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Warming => f.write_str("it is being brought in"),
            Self::WaitingForOtherImages => f.write_str("the node brings in other images first"),
            Self::WaitingForAgent => f.write_str(
                "the node was told, and its agent has not answered: see the logs of onepull-agent there",
            ),
            Self::WaitingForResolution => f.write_str("the registry is being asked for the digest"),
            Self::WaitingForSeed { seed, next } => waiting_for_seed(f, seed.as_ref(), *next),
            Self::WaitingForTurn { most } => write!(
                f,
                "{most} other nodes are at work, as many as rollout.maxParallel lets"
            ),
            Self::WaitingForWindow { opens: Some(opens) } => {
                write!(f, "the window is closed until {opens:.0}")
            }
            Self::WaitingForWindow { opens: None } => {
                f.write_str("the window never opens: see rollout.window.start")
            }
            Self::WaitingForRetry { after, because } => {
                write!(f, "{because}; others go first, and it is tried again after {after:.0}")
            }
            Self::NodeNotReady => f.write_str("the node is not ready, and is not waited for"),
            Self::VirtualNode => f.write_str("the node is virtual and holds no images"),
            Self::NoAgent => f.write_str(
                "no agent has reported from the node: does the DaemonSet onepull-agent run there?",
            ),
            Self::OverDiskBudget { needs, left } => write!(
                f,
                "it needs {} on the node, and {} of the room for images is left: free space there, \
                 raise the node's budget, or select other nodes",
                Bytes(*needs),
                Bytes(*left)
            ),
            Self::LimitReached { namespace: Some(namespace) } => write!(
                f,
                "namespace {namespace} has as many images or bytes on the node as the operator allows"
            ),
            Self::LimitReached { namespace: None } => {
                f.write_str("the node has as many images or bytes as the operator allows")
            }
            Self::TagConflict { with } => write!(
                f,
                "cache {with} is older and means another digest by this name: refresh one of them, or \
                 name the image by its digest"
            ),
            Self::PlatformMissing { platform } => write!(
                f,
                "the image has nothing for {platform}: build it for that too, or select other nodes"
            ),
            Self::NoPeerHasIt => f.write_str("no other node has it yet"),
            Self::Failed(trouble) => trouble.fmt(f),
        }
    }
}

fn waiting_for_seed(
    f: &mut fmt::Formatter<'_>,
    seed: Option<&NodeName>,
    next: Option<Timestamp>,
) -> fmt::Result {
    match (seed, next) {
        (Some(seed), None) => write!(f, "{seed} pulls it from the registry first"),
        (Some(seed), Some(next)) => {
            write!(f, "{seed} could not pull it; another node is asked to after {next:.0}")
        }
        (None, Some(next)) => write!(f, "a node is asked to pull it after {next:.0}"),
        (None, None) => f.write_str("no node can pull it from the registry just now"),
    }
}
