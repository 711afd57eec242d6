//! One thing to be written.

use onepull_api::{ImageCacheStatus, NodeImageCache};

/// Something that differs from a plan, and how it is mended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Deed {
    /// A node is to be told this.
    Tell(Box<NodeImageCache>),
    /// What a node was told goes with the node.
    Delete {
        /// The node.
        node: String,
        /// Of the object that is meant; another one of that name stays.
        uid: Option<String>,
    },
    /// A cache's status is to be this.
    Report {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The status.
        status: Box<ImageCacheStatus>,
    },
    /// A cache is held back from its deletion, or let go.
    Finalizer {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// All finalizers that it is to have.
        finalizers: Vec<String>,
        /// Of the object that this was decided on.
        resource_version: Option<String>,
    },
}
