//! What a rollout in a cluster reports: the schema of `kube.json`.
//!
//! Sizes are in bytes, times in seconds from `kubectl apply` on, rates in bits per second.

use serde::{Deserialize, Serialize};

use super::{
    fault::{Fault, Struck},
    private::{LetIn, Private},
    verdict::Criterion,
};
use crate::{
    machine::Machine,
    units::{ByteSize, LinkRate},
};

/// The name and version of the format.
pub const SCHEMA: &str = "onepull.dev/loadtest-kube/v1";

/// A whole rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The command line that made it.
    pub command: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was asked for.
    pub setup: Setup,
    /// When the ImageCache was Ready; absent when it was not in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_seconds: Option<f64>,
    /// What its conditions said last.
    pub conditions: String,
    /// Bytes of all images together: manifests, configurations and layers as stored.
    pub unique_bytes: u64,
    /// What the registry's interface sent, headers and all.
    pub egress_bytes: u64,
    /// The same as a multiple of `unique_bytes`.
    pub egress_images: f64,
    /// The column UPSTREAM of `kubectl get imagecaches`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// What went wrong on purpose; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Struck>,
    /// Whom a private registry let in, an entry for each image; none of an open one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub let_in: Vec<LetIn>,
    /// One entry a node.
    pub nodes: Vec<NodeReport>,
    /// What `kubectl get imagecaches` printed.
    pub imagecaches: String,
    /// What `kubectl get events` printed.
    pub events: String,
    /// What was to be, and was or was not.
    pub criteria: Vec<Criterion>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The images that the file names.
    pub images: Vec<String>,
    /// Bytes of each image's layers together.
    pub image_size: ByteSize,
    /// Layers of each image.
    pub layers: u32,
    /// A node's link, each way.
    pub nic: LinkRate,
    /// The registry's uplink.
    pub registry: LinkRate,
    /// What was to go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// How seeds came by a login; absent for an open registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<Private>,
}

/// One node, when it was over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The node.
    pub name: String,
    /// The lists of the file that select it, counted from 1.
    pub lists: Vec<usize>,
    /// Images that it was to hold.
    pub wanted: usize,
    /// Of these, those that it was told to get from the registry.
    pub seeds: usize,
    /// When its NodeImageCache said first that it held all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_seconds: Option<f64>,
    /// Bytes from the registry, as its NodeImageCache says.
    pub bytes_from_upstream: u64,
    /// Bytes from other nodes, as its NodeImageCache says.
    pub bytes_from_peers: u64,
    /// What it lacks of an image that it was to hold: a blob, or CRI does not list it by its tag.
    pub lacks: Vec<String>,
    /// Names that CRI lists and that it was not to hold.
    pub extra: Vec<String>,
    /// Bytes in its content store.
    pub held_bytes: u64,
    /// Bytes of blobs that its agent counted, from the registry and from other nodes.
    pub counted_bytes: u64,
    /// Bytes that its link received, of other agents' talk and of the API server too.
    pub link_bytes: u64,
}

// === impl ClusterReport ===

impl ClusterReport {
    /// Whether everything was as it was to be.
    pub fn succeeded(&self) -> bool {
        self.criteria.iter().all(|criterion| criterion.met)
    }
}
