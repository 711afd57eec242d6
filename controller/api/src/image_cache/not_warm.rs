//! Nodes that do not hold what they should, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::node_image_cache::NodeReason;

/// A selected node that lacks an image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotWarmNode {
    /// The name of the node.
    pub name: String,
    /// Why it lacks it.
    pub reason: NotWarmReason,
    /// The first image that it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What is wrong or waited for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Why a node lacks an image: what it waits for, why it is left out, or what went wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum NotWarmReason {
    /// The tag has not been resolved to a digest.
    WaitingForResolution,
    /// No node has begun to pull from the registry (Stream), or none is done (Staged).
    WaitingForSeed,
    /// `maxParallel` other nodes are at work.
    WaitingForTurn,
    /// The window is closed.
    WaitingForWindow,
    /// It went wrong there and is tried again, and others have the turn meanwhile.
    WaitingForRetry,
    /// The node has been told; its agent has not answered.
    WaitingForAgent,
    /// The node brings in one image after the other.
    WaitingForOtherImages,
    /// It is being brought in.
    Warming,
    /// The node is not ready, and is not counted.
    NodeNotReady,
    /// The node is virtual (virtual-kubelet), and is not counted.
    VirtualNode,
    /// No agent runs on the node.
    NoAgent,
    /// The image does not fit into what the node may hold.
    OverDiskBudget,
    /// The node would hold more images than the operator allows.
    LimitReached,
    /// Another cache means a different digest by the same tag, and has had it longer.
    TagConflict,
    /// The image has nothing for what the node runs.
    PlatformMissing,
    /// No other node has it, and this one is not to ask the registry.
    NoPeerHasIt,
    /// The registry knows no such image.
    ImageNotFound,
    /// The registry refused the credential, or wants one.
    CredentialRefused,
    /// No credential could be had for the pull.
    CredentialMissing,
    /// The registry asks to wait.
    RateLimited,
    /// The registry does not answer.
    RegistryUnreachable,
    /// Nothing has come for a while.
    PullStalled,
    /// What came is not what the digest says.
    ContentMismatch,
    /// The node's disk is full.
    DiskFull,
    /// The container runtime does not answer, or not as expected.
    RuntimeFailed,
    /// Something that this version has no word for; the message says what.
    #[serde(other)]
    Unknown,
}

// === impl NotWarmReason ===

impl From<NodeReason> for NotWarmReason {
    fn from(reason: NodeReason) -> Self {
        match reason {
            NodeReason::OtherImagesFirst => Self::WaitingForOtherImages,
            NodeReason::NoPeerHasIt => Self::NoPeerHasIt,
            NodeReason::ImageNotFound => Self::ImageNotFound,
            NodeReason::CredentialRefused => Self::CredentialRefused,
            NodeReason::CredentialMissing => Self::CredentialMissing,
            NodeReason::RateLimited => Self::RateLimited,
            NodeReason::RegistryUnreachable => Self::RegistryUnreachable,
            NodeReason::PullStalled => Self::PullStalled,
            NodeReason::ContentMismatch => Self::ContentMismatch,
            NodeReason::DiskFull => Self::DiskFull,
            NodeReason::RuntimeFailed => Self::RuntimeFailed,
            NodeReason::ImageInUse | NodeReason::Unknown => Self::Unknown,
        }
    }
}
