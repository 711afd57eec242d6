//! What a person wants to be told when it happens.

use std::fmt;

use super::{CacheId, ImageRef, NodeName, Platform, Reason, Trouble, TroubleKind};

/// Something that a plan makes happen, or sees for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The caches that it is about.
    pub caches: Vec<CacheId>,
    /// What happened.
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A node is to pull an image from the registry.
    SeedChosen {
        /// The image.
        image: ImageRef,
        /// For nodes that run this.
        platform: Platform,
        /// The node.
        node: NodeName,
    },
    /// Another node is to go on with it.
    SeedMoved {
        /// The image.
        image: ImageRef,
        /// For nodes that run this.
        platform: Platform,
        /// Who had it.
        from: NodeName,
        /// Who has it.
        to: NodeName,
        /// Why.
        why: Parting,
    },
    /// The registry does not give an image, and somebody has to do something about it: told once for each
    /// kind of trouble.
    Refused {
        /// The image.
        image: ImageRef,
        /// Why.
        trouble: Trouble,
    },
    /// All available nodes hold what the cache names.
    RolloutComplete {
        /// How many nodes.
        nodes: usize,
    },
}

/// Why a node is the seed no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It does not get on.
    Failed(Reason),
    /// The node is gone, or nobody wants the image there any more.
    Gone,
    /// Nodes cannot get the image from those that hold it.
    OutOfReach,
}

// === impl Happening ===

impl Happening {
    /// Its name, as the reason of a Kubernetes event.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::SeedChosen { .. } => "SeedChosen",
            Self::SeedMoved { .. } => "SeedMoved",
            Self::Refused { trouble, .. } => match trouble.kind {
                // As the condition has it.
                TroubleKind::CredentialMissing => "SecretMissing",
                kind => kind.as_str(),
            },
            Self::RolloutComplete { .. } => "RolloutComplete",
        }
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeedChosen { image, platform, node } => {
                write!(f, "{node} pulls {image} ({platform}) from the registry for all others")
            }
            Self::SeedMoved { image, platform, from, to, why } => {
                write!(f, "{to} goes on with {image} ({platform}) instead of {from}: {why}")
            }
            Self::Refused { image, trouble } => write!(f, "{image}: {trouble}"),
            Self::RolloutComplete { nodes } => write!(f, "{nodes} nodes hold all images"),
        }
    }
}

// === impl Parting ===

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => reason.fmt(f),
            Self::Gone => f.write_str("the node is gone, or is not selected any more"),
            Self::OutOfReach => f.write_str("no node can get it from those that hold it"),
        }
    }
}
