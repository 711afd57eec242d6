//! Images of registries that let only nodes in: the controller asks a node what they stand for, and the node
//! answers in its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{state::NodeReason, status::MAX_MESSAGE};
use crate::schema::{self, DIGEST};

/// Images that one node is asked about at once.
pub const MAX_QUESTIONS: usize = 16;

/// Kinds of nodes in one cluster: two or three are the rule.
const MAX_PLATFORMS: usize = 16;

/// An image that the node is to ask its registry about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ImageQuestion {
    /// The image in full: docker.io/library/nginx:1.27; with a digest where only that one will do.
    #[serde(rename = "ref")]
    pub name: String,

    /// For nodes of which kinds: linux/amd64. At least one.
    #[schemars(length(min = 1, max = MAX_PLATFORMS), extend("x-kubernetes-list-type" = "atomic"))]
    pub platforms: Vec<String>,

    /// When it was asked. The answer says the same, so that an old answer is told from a new one.
    pub asked: Time,
}

/// What a registry told the node of an image: its digest, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ImageAnswer {
    /// As in the question.
    #[serde(rename = "ref")]
    pub name: String,

    /// As in the question.
    pub asked: Time,

    /// What the image stands for: the digest of an index or a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DIGEST))]
    pub digest: Option<String>,

    /// What there is of it for the kinds of nodes in the question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PLATFORMS), extend("x-kubernetes-list-type" = "atomic"))]
    pub images: Vec<PlatformImage>,

    /// Why there is no digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<NodeReason>,

    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: Option<String>,
}

/// An image for one kind of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformImage {
    /// Operating system, architecture and perhaps a variant: linux/arm/v7.
    pub platform: String,

    /// The digest of its manifest.
    #[schemars(regex(pattern = DIGEST))]
    pub manifest: String,

    /// Bytes that a node has to fetch.
    #[schemars(schema_with = "schema::bytes")]
    pub compressed_bytes: u64,

    /// Bytes that it takes on a node's disk, estimated.
    #[schemars(schema_with = "schema::bytes")]
    pub disk_bytes: u64,
}

// === impl ImageAnswer ===

impl ImageAnswer {
    /// An answer that says nothing yet.
    pub fn to(question: &ImageQuestion) -> Self {
        let (name, asked) = (question.name.clone(), question.asked.clone());
        Self { name, asked, digest: None, images: Vec::new(), reason: None, message: None }
    }

    /// Whether it is an answer to that question.
    pub fn is_to(&self, question: &ImageQuestion) -> bool {
        self.name == question.name && self.asked == question.asked
    }
}
