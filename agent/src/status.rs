//! What `onepull-agent status` shows: which declared images this node holds, and how far the rest is.

use onepull_api::NodeReason;
use serde::{Deserialize, Serialize};

use crate::desired::Source;

mod table;

pub use table::table;

/// The declared images of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Why the images are not those that somebody declared last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// In the order in which they are wanted.
    pub images: Vec<ImageStatus>,
    /// Images that are to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<RemovalStatus>,
}

/// One declared image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// Its name, in full.
    #[serde(rename = "ref")]
    pub name: String,
    /// Its other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What they stand for.
    pub digest: String,
    /// Where it comes from.
    pub source: Source,
    /// What it is doing.
    pub state: Phase,
    /// For how long it has been doing so.
    pub seconds: u64,
    /// Bytes of its config and layers that are here, once its manifest is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_done: Option<u64>,
    /// All bytes of its config and layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Bytes of its config and layers that came from peers through this agent, since it was declared.
    pub bytes_from_peers: u64,
    /// Bytes of its config and layers that came past this agent, since it was declared.
    #[serde(default)]
    pub bytes_from_upstream: u64,
    /// Whether all its blobs are in the runtime's content store.
    #[serde(default)]
    pub blobs_complete: bool,
    /// What kind of thing went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<NodeReason>,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One image that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovalStatus {
    /// The first of its names.
    #[serde(rename = "ref")]
    pub name: String,
    /// What the names stood for.
    pub digest: String,
    /// Whether they are gone.
    pub is_gone: bool,
    /// Why they are not, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<NodeReason>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What an image is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Phase {
    /// The runtime lists it.
    Held,
    /// It is being fetched, written or unpacked.
    Warming,
    /// Others come first.
    Waiting,
    /// No other node has it, and this one is not to ask the registry; it is tried again.
    NeedsUpstream,
    /// It went wrong, and is tried again.
    Failed,
}
