//! Why a condition is as it is.

use std::fmt;

use crate::planner::{Reason, TroubleKind};

/// Why a condition is as it is, in a word. The list is closed: dashboards and scripts match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionReason {
    /// Ready: all nodes that are waited for hold their images.
    AllNodesWarm,
    /// Ready: not all, but as many as the cache asks for.
    EnoughNodesWarm,
    /// Ready: no node is selected that could hold images, so none lacks any.
    NoNodesSelected,
    /// Not ready: nodes lack images, and it goes on.
    RolloutInProgress,
    /// Not ready, or not progressing: nodes lack images, and it cannot go on.
    RolloutBlocked,
    /// Progressing: the registry is asked for digests.
    Resolving,
    /// Progressing: seeds pull from the registry.
    Seeding,
    /// Progressing: nodes get images from each other.
    RollingOut,
    /// Progressing, and not ready: the cache is being deleted.
    Removing,
    /// Not progressing: everything is where it belongs.
    RolloutComplete,
    /// Not progressing: the window is closed.
    WaitingForWindow,
    /// Not progressing: no selected node is ready.
    WaitingForNodes,
    /// Degraded: the registry knows no such image.
    ImageNotFound,
    /// Degraded: the registry refused the credential, or wants one.
    CredentialRefused,
    /// Degraded: a pull secret is missing, or is none.
    CredentialMissing,
    /// Degraded: the registry asks to wait.
    RateLimited,
    /// Degraded: the registry does not answer.
    RegistryUnreachable,
    /// Degraded: what the registry says of an image makes no sense.
    ResolutionFailed,
    /// Degraded: an older cache means another digest by the same name.
    TagConflict,
    /// Degraded: images do not fit into what nodes may hold.
    OverDiskBudget,
    /// Degraded: more than the operator allows.
    LimitReached,
    /// Degraded: an image has nothing for what some nodes run.
    PlatformMissing,
    /// Degraded: nodes tried and failed, or have no agent that answers.
    NodesFailed,
    /// Not degraded.
    AsExpected,
}

// === impl ConditionReason ===

/// The name of the variant.
impl fmt::Display for ConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What went wrong when the registry was asked what a name stands for.
impl From<TroubleKind> for ConditionReason {
    fn from(kind: TroubleKind) -> Self {
        match kind {
            TroubleKind::ImageNotFound => Self::ImageNotFound,
            TroubleKind::CredentialRefused => Self::CredentialRefused,
            TroubleKind::CredentialMissing => Self::CredentialMissing,
            TroubleKind::RateLimited => Self::RateLimited,
            TroubleKind::RegistryUnreachable => Self::RegistryUnreachable,
            TroubleKind::PullStalled
            | TroubleKind::ContentMismatch
            | TroubleKind::DiskFull
            | TroubleKind::RuntimeFailed
            | TroubleKind::Unknown => Self::ResolutionFailed,
        }
    }
}

/// What nodes lack images for. What goes wrong on nodes has one word in common, as the message says the
/// rest.
impl From<&Reason> for ConditionReason {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::WaitingForRetry { because, .. } => Self::from(&**because),
            Reason::OverDiskBudget { .. } => Self::OverDiskBudget,
            Reason::LimitReached { .. } => Self::LimitReached,
            Reason::TagConflict { .. } => Self::TagConflict,
            Reason::PlatformMissing { .. } => Self::PlatformMissing,
            Reason::WaitingForWindow { .. } => Self::WaitingForWindow,
            Reason::NodeNotReady | Reason::VirtualNode => Self::WaitingForNodes,
            Reason::WaitingForResolution => Self::Resolving,
            Reason::WaitingForSeed { .. } => Self::Seeding,
            Reason::Warming
            | Reason::WaitingForOtherImages
            | Reason::WaitingForTurn { .. }
            | Reason::NoPeerHasIt => Self::RollingOut,
            Reason::WaitingForAgent | Reason::NoAgent | Reason::Failed(_) => Self::NodesFailed,
        }
    }
}
