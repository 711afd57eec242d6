//! What a cache is told of its rollout: counts, and what its conditions are made of.

use super::{ConditionReason, Digest, ImageRef, NodeName, Reason, Trouble};

/// Nodes that a rollup names one by one: enough to see what is wrong, and small beside the limit of an
/// object's size.
pub const MOST_NAMED: usize = 100;

/// How far a cache's rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// Each image, in the order in which they are wanted.
    pub images: Vec<ImageRollup>,
    /// How many nodes there are of what kind.
    pub nodes: NodeCounts,
    /// Nodes that lack an image, at most [`MOST_NAMED`], the gravest reasons first.
    pub not_warm: Vec<NotWarm>,
    /// The selected nodes by name, at most [`MOST_NAMED`].
    pub selected: Vec<NodeRollup>,
    /// Bytes that the registry sent for these images, to all nodes together.
    pub upstream_bytes: u64,
    /// Bytes of the images, each platform once: what one pull takes.
    pub image_bytes: u64,
    /// What the conditions say.
    pub conditions: Conditions,
    /// For a cache that is being deleted: nothing of it is left to do, and it may go.
    pub released: bool,
}

/// How far one image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRollup {
    /// Its name.
    pub image: ImageRef,
    /// What that stands for, once it is known.
    pub digest: Option<Digest>,
    /// Bytes of the largest platform in use.
    pub bytes: Option<u64>,
    /// Available nodes that are to hold it.
    pub desired: usize,
    /// Of these, those that do.
    pub warm: usize,
    /// What went wrong when the registry was asked what it stands for.
    pub trouble: Option<Trouble>,
}

/// How far one node is with the images of one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRollup {
    /// The node.
    pub node: NodeName,
    /// Images of the cache that it is to hold.
    pub desired: usize,
    /// Of these, those that it holds.
    pub warm: usize,
    /// Bytes of these images that it got from the registry.
    pub upstream_bytes: u64,
}

/// How many nodes there are of what kind. A node counts as what its worst image makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Nodes that the cache selects.
    pub selected: usize,
    /// Of these, those that are not ready, or virtual: they are not waited for.
    pub unavailable: usize,
    /// Of the others, those that hold all images meant for them.
    pub warm: usize,
    /// Those that an image is being brought to.
    pub warming: usize,
    /// Those that wait, for a seed, a turn, a window.
    pub waiting: usize,
    /// Those where something is wrong.
    pub failed: usize,
}

/// A node that lacks an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotWarm {
    /// The node.
    pub node: NodeName,
    /// The image.
    pub image: ImageRef,
    /// Why.
    pub reason: Reason,
}

/// What the conditions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// As many nodes as wanted hold their images.
    pub ready: Condition,
    /// Something is being done that brings it nearer to that.
    pub progressing: Condition,
    /// Something is wrong that a person may have to mend.
    pub degraded: Condition,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub holds: bool,
    /// Why, out of a closed list.
    pub reason: ConditionReason,
    /// Why, in a sentence.
    pub message: String,
}

// === impl NodeCounts ===

impl NodeCounts {
    /// Nodes that are waited for.
    pub fn available(&self) -> usize {
        self.selected - self.unavailable
    }
}
