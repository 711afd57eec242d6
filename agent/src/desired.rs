//! What this node is meant to hold, and the seam to whoever decides it.

use std::sync::Arc;

use onepull_mirror::Digest;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

mod document;
mod file;
mod image_name;
mod names;

pub use document::{BadDesired, parse};
pub use file::DesiredFile;
pub use image_name::{BadName, ImageName};
pub use names::Names;

/// Says what this node is meant to hold, now and from now on.
pub trait Desired: Send + Sync + 'static {
    /// The latest state; steps between may be skipped.
    fn watch(&self) -> watch::Receiver<Arc<DesiredState>>;
}

/// The images of a node, in the order in which they are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredState {
    /// No two have a name in common.
    pub images: Vec<DesiredImage>,
    /// Images to be removed unless a container uses them.
    pub unwanted: Vec<UnwantedImage>,
    /// Whether somebody said so since the agent started. What else is here was remembered, or is nothing yet.
    pub is_known: bool,
    /// Why this is not the state that somebody wrote last, in a sentence.
    pub problem: Option<String>,
}

/// One image that a node is meant to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DesiredImage {
    /// Under which names pods ask for it.
    pub names: Names,
    /// What they stand for: a manifest, or an index.
    pub digest: Digest,
    /// Where this node gets it.
    pub source: Source,
}

/// One image that a node is to remove.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnwantedImage {
    /// The names to take away.
    pub names: Names,
    /// What they stood for; a name that stands for something else stays.
    pub digest: Digest,
}

/// Where a node gets an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Source {
    /// Its runtime pulls it as for a pod: from peers where they have it, else from the registry.
    Upstream,
    /// From other nodes and from nowhere else.
    Peers,
}
