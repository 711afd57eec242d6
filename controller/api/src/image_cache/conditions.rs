//! The conditions of an `ImageCache` and their reasons.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum ConditionType {
    /// As many of the selected nodes as `readyWhen` says hold their images.
    Ready,
    /// Something is being done, or waited for, that brings it nearer to Ready.
    Progressing,
    /// Something is wrong that a person may have to mend; the message says what.
    Degraded,
}

/// Why a condition is as it is. The list is closed: dashboards and scripts may match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum ConditionReason {
    /// Ready: all selected nodes hold their images.
    AllNodesWarm,
    /// Ready: not all, but as many as `readyWhen` asks for.
    EnoughNodesWarm,
    /// Ready: no node is selected, so none lacks anything. Normal for a pool at zero.
    NoNodesSelected,
    /// Not ready: nodes still lack images, and it goes on.
    RolloutInProgress,
    /// Not ready, and not progressing: nodes still lack images, and it cannot go on.
    RolloutBlocked,

    /// Progressing: tags are being resolved to digests.
    Resolving,
    /// Progressing: the seeds pull from the registry.
    Seeding,
    /// Progressing: nodes get the images from each other.
    RollingOut,
    /// Progressing, and not ready: the cache is being deleted, and its images are let go or removed.
    Removing,
    /// Not progressing: everything is where it belongs.
    RolloutComplete,
    /// Not progressing: the window is closed.
    WaitingForWindow,
    /// Not progressing: every selected node that lacks images is not ready itself.
    WaitingForNodes,

    /// Degraded: the registry knows no such image.
    ImageNotFound,
    /// Degraded: the registry refused the credential, or wants one.
    CredentialRefused,
    /// Degraded: a pull secret does not exist or is not of the right type.
    SecretMissing,
    /// Degraded: the registry does not answer.
    RegistryUnreachable,
    /// Degraded: the registry asks to wait.
    RateLimited,
    /// Degraded: what the registry says of an image makes no sense.
    ResolutionFailed,
    /// Degraded: another cache means a different digest by the same tag, and has had it longer.
    TagConflict,
    /// Degraded: images do not fit into what nodes may hold.
    OverDiskBudget,
    /// Degraded: more images or bytes than the operator allows a namespace or node.
    LimitReached,
    /// Degraded: an image has nothing for what some nodes run.
    PlatformMissing,
    /// Degraded: no node has an image, and none may ask the registry.
    NoPeerHasIt,
    /// Degraded: some nodes tried and failed.
    NodesFailed,
    /// Not degraded.
    AsExpected,
}

// === impl ConditionType ===

/// The name of the variant, which is what Kubernetes shows.
impl fmt::Display for ConditionType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

// === impl ConditionReason ===

/// The name of the variant, which is what Kubernetes shows.
impl fmt::Display for ConditionReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}
