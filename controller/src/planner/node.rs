//! What is known of a node: what it is, what it was told, and what it reports.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{CacheId, Digest, ImageRef, NodeName, Platform, Trouble};

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What it runs.
    pub platform: Platform,
    /// Kubernetes says that it is ready.
    pub ready: bool,
    /// It is no machine, and holds no images.
    pub virtual_node: bool,
    /// New pods may come here. A node where they may not is warmed as any other, but it may be about to
    /// go, so it becomes a seed last.
    pub schedulable: bool,
    /// Its room for images, once its agent has told.
    pub disk: Option<Disk>,
    /// What it was told last to hold, in that order.
    pub holds: Vec<Hold>,
    /// What it was told last to remove.
    pub removals: Vec<Removal>,
    /// What its agent reports.
    pub reports: BTreeMap<Digest, Report>,
}

/// A node's room for images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that are free for images: below the point at which the kubelet begins to collect them.
    pub free: u64,
    /// Most bytes of declared images that the node may hold.
    pub budget: u64,
}

/// One image that a node is to hold. Its lists are shared: thousands of nodes have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What it is.
    pub digest: Digest,
    /// Under which names pods ask for it there. No two holds of a node share a name.
    pub refs: Arc<[ImageRef]>,
    /// Where the node gets it.
    pub source: Source,
    /// Grows whenever something new is asked of the node; it comes back in the report.
    pub generation: u64,
    /// Who wants it, or is not yet done with it.
    pub caches: Arc<[CacheId]>,
}

/// One image that a node is to remove, unless a container uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// What it is.
    pub digest: Digest,
    /// The names to remove.
    pub refs: Vec<ImageRef>,
}

/// Where a node gets an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// As for a pod: from other nodes where they have it, else from the registry.
    Upstream,
    /// From other nodes and from nowhere else.
    Peers,
}

/// What a node's agent reports of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The generation of the hold that it speaks of.
    pub generation: u64,
    /// What the image is doing.
    pub state: State,
    /// Since when, or when it last told of progress.
    pub since: Timestamp,
    /// All its blobs are there, so that other nodes can get them from here.
    pub complete: bool,
    /// A container uses it.
    pub in_use: bool,
    /// Bytes of it that are on the node.
    pub bytes: u64,
    /// All its bytes, once the node knows its manifest.
    pub total: Option<u64>,
    /// Bytes of it that the node got from the registry.
    pub upstream: u64,
    /// What is wrong.
    pub trouble: Option<Trouble>,
}

/// What an image on a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The agent knows of it; others come first. Next: `Warming`.
    Waiting,
    /// It is being fetched, written or unpacked. Next: `Warm`, `NeedsUpstream` or `Failed`.
    Warming,
    /// The runtime lists it under its names.
    Warm,
    /// No other node has it, and this one is not to ask the registry. Tried again.
    NeedsUpstream,
    /// It went wrong. Tried again.
    Failed,
    /// It is to be removed, and is still there. Next: `Removed`, unless it is in use.
    Removing,
    /// It was removed. Next: it is on no list any more.
    Removed,
}

// === impl Node ===

impl Node {
    /// Whether it can be given work, and is counted.
    pub fn is_available(&self) -> bool {
        self.ready && !self.virtual_node
    }
}

// === impl Report ===

impl Report {
    /// The runtime lists it.
    pub fn is_warm(&self) -> bool {
        self.state == State::Warm
    }
}
