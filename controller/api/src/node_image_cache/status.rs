//! What a node's agent reports.
//!
//! It is written at most 8 times per image and rollout: accepted, started, at each quarter, done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    preflight::Preflight,
    question::{ImageAnswer, MAX_QUESTIONS},
    state::{NodeImageState, NodeReason},
};
use crate::{
    image_cache::MAX_IMAGES,
    schema::{self, DIGEST},
};

/// Images that are held or being removed.
const MAX_HELD: usize = 2 * MAX_IMAGES;

/// The end of a chain of errors says enough.
pub(super) const MAX_MESSAGE: usize = 1024;

/// Patterns of registries that one node has logins for.
pub const MAX_LOGINS: usize = 64;

/// What the node holds. Written by that node's agent, nobody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeImageCacheStatus {
    /// The generation of the spec that the agent has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The version of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,

    /// How many images there are in which state.
    pub counts: NodeCounts,

    /// The file system that holds images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,

    /// The images, in the order of the spec, and those that are to be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_HELD), extend("x-kubernetes-list-type" = "atomic"))]
    pub images: Vec<HeldImage>,

    /// Registries and repositories that the node's credential plugins have logins for, as patterns
    /// (matchImages of the kubelet's CredentialProviderConfig): *.dkr.ecr.*.amazonaws.com.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_LOGINS), extend("x-kubernetes-list-type" = "atomic"))]
    pub logins: Vec<String>,

    /// What registries said of the images that the node was asked about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_QUESTIONS), extend("x-kubernetes-list-type" = "atomic"))]
    pub answers: Vec<ImageAnswer>,

    /// What the agent's preflight found on the node; nothing before it has run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,

    /// What is wrong with the agent as a whole, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub problem: Option<String>,
}

/// How many images there are in which state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCounts {
    /// Images that the node is to hold.
    #[schemars(schema_with = "schema::count")]
    pub desired: u32,
    /// Of these, those that it holds.
    #[schemars(schema_with = "schema::count")]
    pub warm: u32,
    /// Of these, those that it cannot get (NeedsUpstream) or where it went wrong (Failed).
    #[schemars(schema_with = "schema::count")]
    pub failed: u32,
}

/// The file system that holds images, as of the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Disk {
    /// Its size, in bytes.
    #[schemars(schema_with = "schema::bytes")]
    pub capacity_bytes: u64,
    /// What is free, in bytes.
    #[schemars(schema_with = "schema::bytes")]
    pub available_bytes: u64,
}

/// One image on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldImage {
    /// The first of its names in the spec.
    #[serde(rename = "ref")]
    pub name: String,

    /// Its digest in the spec.
    #[schemars(regex(pattern = DIGEST))]
    pub digest: String,

    /// The generation in the spec that this speaks of.
    #[serde(default)]
    pub generation: i64,

    /// Waiting, Warming, Warm, NeedsUpstream, Failed, Removing or Removed.
    pub state: NodeImageState,

    /// Since when it is in that state, or when it last told of progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,

    /// Why it is in that state, where the state does not say so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<NodeReason>,

    /// What is wrong, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: Option<String>,

    /// Compressed bytes of its config and layers for this node's platform, once its manifest is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::some_bytes")]
    pub bytes_total: Option<u64>,

    /// Of these, the bytes that are here.
    #[serde(default)]
    #[schemars(schema_with = "schema::bytes")]
    pub bytes_done: u64,

    /// Bytes that this node got from the registry.
    #[serde(default)]
    #[schemars(schema_with = "schema::bytes")]
    pub bytes_from_upstream: u64,

    /// Bytes that this node got from other nodes.
    #[serde(default)]
    #[schemars(schema_with = "schema::bytes")]
    pub bytes_from_peers: u64,

    /// Whether all its blobs are in the runtime's content store, so that other nodes can get them
    /// from here.
    #[serde(default)]
    pub blobs_complete: bool,
}
