//! What the controller reports of an `ImageCache`: a bounded summary of the nodes' own objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::not_warm::NotWarmNode;
use crate::schema;

/// Entries of each list of nodes: enough to see what is wrong, and small beside the limit of 1.5 MiB
/// for an object, which 5,000 nodes would exceed.
pub const MAX_LISTED: usize = 100;

/// Each condition once.
const MAX_CONDITIONS: usize = 8;

/// Images that are reported one by one.
const MAX_IMAGES: usize = 256;

/// A summary; the truth of each node is in its NodeImageCache.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageCacheStatus {
    /// The generation of the spec that this speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What the rollout is doing: Pending, Resolving, Seeding, RollingOut, Waiting, Ready, Degraded or
    /// Removing.
    pub state: CacheState,

    /// Ready, Progressing and Degraded, each with a reason out of a closed list and a sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_CONDITIONS))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// How many there are of what.
    pub counts: Counts,

    /// The images, at most 256 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_IMAGES))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["image"]))]
    pub images: Vec<ImageStatus>,

    /// Selected nodes that lack an image, at most 100, those that failed first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_LISTED))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub not_warm_nodes: Vec<NotWarmNode>,

    /// The selected nodes, at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_LISTED))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub nodes: Vec<NodeSummary>,

    /// How many selected nodes are not in `nodes`.
    #[schemars(schema_with = "schema::count")]
    pub nodes_truncated: u32,

    /// Bytes that the registry sent for these images, to all nodes together.
    #[schemars(schema_with = "schema::bytes")]
    pub upstream_bytes: u64,

    /// `upstreamBytes` divided by the bytes of the images, such as 1.00x: one pull for all nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
}

/// What a rollout is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum CacheState {
    /// The controller has not looked at it. Next: `Resolving`.
    #[default]
    Pending,
    /// Tags are being resolved. Next: `Seeding`, `Waiting` or `Degraded`.
    Resolving,
    /// Seeds pull from the registry. Next: `RollingOut`.
    Seeding,
    /// Nodes get the images from each other. Next: `Ready`.
    RollingOut,
    /// Nothing is being done, and that is meant: the window is closed, or no selected node is ready.
    Waiting,
    /// As many nodes as wanted hold the images.
    Ready,
    /// It cannot go on, or not everywhere; the condition Degraded says why.
    Degraded,
    /// The cache is being deleted, and its images removed.
    Removing,
}

/// How many there are of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Different images that the cache names.
    #[schemars(schema_with = "schema::count")]
    pub images: u32,
    /// Nodes that it selects.
    #[schemars(schema_with = "schema::count")]
    pub nodes: u32,
    /// Of these, those that hold all images meant for them.
    #[schemars(schema_with = "schema::count")]
    pub warm: u32,
    /// Of these, those that an image is being brought to.
    #[schemars(schema_with = "schema::count")]
    pub warming: u32,
    /// Of these, those where it went wrong.
    #[schemars(schema_with = "schema::count")]
    pub failed: u32,
    /// Of these, those that are not ready themselves and are not waited for.
    #[schemars(schema_with = "schema::count")]
    pub unavailable: u32,
}

/// One image of a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// The reference, as the cache has it.
    pub image: String,
    /// The digest that all nodes get: of an index, where the image has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The compressed bytes of its config and layers, for the largest platform in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::some_bytes")]
    pub bytes: Option<u64>,
    /// Nodes that hold it.
    #[serde(default)]
    #[schemars(schema_with = "schema::count")]
    pub warm: u32,
    /// Nodes that are to hold it.
    #[serde(default)]
    #[schemars(schema_with = "schema::count")]
    pub desired: u32,
    /// What is wrong with it, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One selected node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSummary {
    /// The name of the node.
    pub name: String,
    /// Images of this cache that it holds.
    #[serde(default)]
    #[schemars(schema_with = "schema::count")]
    pub warm: u32,
    /// Images of this cache that it is to hold.
    #[serde(default)]
    #[schemars(schema_with = "schema::count")]
    pub desired: u32,
    /// Bytes of these images that it got from the registry.
    #[serde(default)]
    #[schemars(schema_with = "schema::bytes")]
    pub upstream_bytes: u64,
}
