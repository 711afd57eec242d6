//! What somebody wants: images, the nodes that are to hold them, and how they are to get there.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{CacheId, ImageRef, Resolution};
use crate::window::Gate;

/// Labels that a node must have, all of them; none selects every node.
pub type Selector = BTreeMap<Arc<str>, Arc<str>>;

/// One image cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Its name.
    pub id: CacheId,
    /// When it was made: who came first is served first, and keeps a tag that two disagree on.
    pub created: Timestamp,
    /// The images, in the order in which they are wanted.
    pub lists: Vec<ImageList>,
    /// When the other nodes begin.
    pub strategy: Strategy,
    /// How many nodes may be at work at once.
    pub max_parallel: Share,
    /// How many nodes must hold their images for the cache to be ready.
    pub ready_when: Share,
    /// Whether new work may begin now.
    pub gate: Gate,
    /// What becomes of images that this cache no longer wants.
    pub on_delete: OnDelete,
    /// Somebody has deleted it, and it waits to be let go.
    pub deleting: bool,
    /// What its images stand for, as far as that is known: found out once for each rollout.
    pub resolutions: BTreeMap<ImageRef, Resolution>,
}

/// Images, and the nodes that are to hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageList {
    /// The images.
    pub images: Vec<ImageRef>,
    /// The nodes.
    pub selector: Selector,
}

/// When the nodes that get an image from others begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// As soon as the seed's download is announced.
    #[default]
    Stream,
    /// When a node holds the whole image.
    Staged,
}

/// Some of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Nodes(u32),
    /// So many of a hundred.
    Percent(u8),
}

/// What becomes of images that a cache no longer wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDelete {
    /// They stay where they are, and the kubelet may collect them.
    #[default]
    Keep,
    /// They go, unless another cache wants them or a container uses them.
    Remove,
}

// === impl Share ===

impl Share {
    /// All of them.
    pub const ALL: Self = Self::Percent(100);

    /// How many of `total` that is, rounded up: not more than all, and at least one where there are
    /// any.
    pub fn of(self, total: usize) -> usize {
        let wanted = match self {
            Self::Nodes(nodes) => nodes as usize,
            Self::Percent(percent) => (total * usize::from(percent)).div_ceil(100),
        };
        wanted.max(1).min(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_none() {
        assert_eq!(Share::Percent(25).of(9), 3);
        assert_eq!(Share::Percent(1).of(5), 1);
        assert_eq!(Share::Nodes(3).of(2), 2);
        assert_eq!(Share::ALL.of(0), 0);
    }
}
