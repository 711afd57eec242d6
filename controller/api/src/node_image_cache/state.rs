//! What an image on a node is doing, and why. Both lists are closed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an image on a node is doing: Waiting, Warming, Warm, NeedsUpstream, Failed, Removing or
/// Removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum NodeImageState {
    /// The agent knows of it; others come first. Next: `Warming`.
    #[default]
    Waiting,
    /// It is being fetched, written or unpacked. Next: `Warm`, `NeedsUpstream` or `Failed`.
    Warming,
    /// The runtime lists it under its names, unpacked, and all its blobs are there.
    Warm,
    /// No other node has it, and this one is not to ask the registry. Tried again, or the controller
    /// makes another node the seed.
    NeedsUpstream,
    /// It went wrong. Tried again.
    Failed,
    /// It is to be removed, and is still there. Next: `Removed`.
    Removing,
    /// It is gone. Next: the controller takes it from the list.
    Removed,
}

/// Why an image is in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum NodeReason {
    /// Waiting: the node brings in one image after the other.
    OtherImagesFirst,
    /// NeedsUpstream: no other node has it.
    NoPeerHasIt,
    /// Failed: the registry knows no such image.
    ImageNotFound,
    /// Failed: the registry refused the credential, or wants one.
    CredentialRefused,
    /// Failed: the controller had no credential to hand out, or does not answer.
    CredentialMissing,
    /// Failed: the registry asks to wait.
    RateLimited,
    /// Failed: the registry does not answer.
    RegistryUnreachable,
    /// Failed: nothing has come for a while.
    PullStalled,
    /// Failed: what came is not what the digest says.
    ContentMismatch,
    /// Failed: the disk is full.
    DiskFull,
    /// Failed: the container runtime does not answer, or not as expected.
    RuntimeFailed,
    /// Removing: a container uses it.
    ImageInUse,
    /// Something that this version has no word for; the message says what.
    #[serde(other)]
    Unknown,
}

// === impl NodeImageState ===

/// The name of the variant, which is what Kubernetes shows.
impl fmt::Display for NodeImageState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

// === impl NodeReason ===

/// The name of the variant, which is what Kubernetes shows.
impl fmt::Display for NodeReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}
