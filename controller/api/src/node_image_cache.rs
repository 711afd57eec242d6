//! `NodeImageCache`: what one node is to hold, and what it holds. It has the node's name.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{image_cache::MAX_IMAGES, schema::DIGEST};

mod preflight;
mod question;
mod state;
mod status;

pub use preflight::{FindingVerdict, MAX_FINDING_TEXT, MAX_FINDINGS, Preflight, PreflightFinding};
pub use question::{ImageAnswer, ImageQuestion, MAX_QUESTIONS, PlatformImage};
pub use state::{NodeImageState, NodeReason};
pub use status::{Disk, HeldImage, MAX_LOGINS, NodeCounts, NodeImageCacheStatus};

/// Names of one image on one node, and caches that want it: two or three are the rule.
const MAX_NAMES: usize = 32;

/// Images that a node is still to remove.
const MAX_UNWANTED: usize = MAX_IMAGES;

/// What a node is to hold. Written by the controller, nobody else.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema,
)]
#[kube(
    group = "onepull.dev",
    version = "v1alpha1",
    kind = "NodeImageCache",
    plural = "nodeimagecaches",
    status = "NodeImageCacheStatus",
    derive = "PartialEq",
    shortname = "onic",
    category = "onepull",
    doc = "What one node is to hold, written by onepull's controller, and what it holds, written by that node's agent. It has the node's name and goes with the node. Not to be edited by hand: ImageCache is what people write.",
    printcolumn(
        name = "Images",
        type_ = "integer",
        json_path = ".status.counts.desired",
        description = "Images that the node is to hold."
    ),
    printcolumn(
        name = "Warm",
        type_ = "integer",
        json_path = ".status.counts.warm",
        description = "Of these, those that it holds."
    ),
    printcolumn(
        name = "Failed",
        type_ = "integer",
        json_path = ".status.counts.failed",
        description = "Of these, those where it went wrong."
    ),
    printcolumn(
        name = "Agent",
        type_ = "string",
        json_path = ".status.agentVersion",
        description = "The version of the node's agent."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NodeImageCacheSpec {
    /// The node's zone (its label topology.kubernetes.io/zone), so that its agent need not read nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,

    /// The images that the node is to hold, in the order in which it brings them in; at most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_IMAGES), extend("x-kubernetes-list-type" = "atomic"))]
    pub images: Vec<DesiredImage>,

    /// Images that nobody wants any more and that the node is to remove, unless a container uses
    /// them; at most 256. An image that is in neither list is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_UNWANTED), extend("x-kubernetes-list-type" = "atomic"))]
    pub remove: Vec<UnwantedImage>,

    /// Images that the node is to ask their registries about, as the controller is not let in there; at
    /// most 16. The answers are in the status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_QUESTIONS), extend("x-kubernetes-list-type" = "atomic"))]
    pub questions: Vec<ImageQuestion>,
}

/// One image that a node is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DesiredImage {
    /// Under which names pods ask for it, in full: docker.io/library/nginx:1.27. At least one.
    #[schemars(length(min = 1, max = MAX_NAMES), extend("x-kubernetes-list-type" = "atomic"))]
    pub refs: Vec<String>,

    /// What these names stand for: the digest of an index or a manifest.
    #[schemars(regex(pattern = DIGEST))]
    pub digest: String,

    /// Where the node gets it: Upstream, as a pod's pull would, from other nodes or the registry; or
    /// Peers, from other nodes alone.
    pub source: Source,

    /// Counts the rollouts of this image; the agent reports it back, so that an old report is told
    /// from a new one.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub generation: i64,

    /// The caches that want it, as NAMESPACE/NAME.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_NAMES), extend("x-kubernetes-list-type" = "atomic"))]
    pub caches: Vec<String>,
}

/// Where a node gets an image: Upstream or Peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Source {
    /// As for a pod: from other nodes where they have it, else from the registry.
    Upstream,
    /// From other nodes and from nowhere else.
    #[default]
    Peers,
}

/// One image that a node is to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnwantedImage {
    /// The names to remove. The image goes with its last name.
    #[schemars(length(min = 1, max = MAX_NAMES), extend("x-kubernetes-list-type" = "atomic"))]
    pub refs: Vec<String>,

    /// What they stood for. A name that stands for something else by now is left alone.
    #[schemars(regex(pattern = DIGEST))]
    pub digest: String,
}
