//! What `onepull-agent status` shows: which declared images this node holds, and how far the rest is.

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
}

/// One declared image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// Its name, in full.
    #[serde(rename = "ref")]
    pub name: String,
    /// What the name stands for.
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
    /// Bytes that this agent wrote into the runtime's store from peers, since it started.
    pub bytes_from_peers: u64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
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
