//! The Kubernetes types of onepull, group `onepull.dev`, version `v1alpha1`.
//!
//! [`ImageCache`] is what people write: which images, on which nodes. [`NodeImageCache`] is one per
//! node: the controller writes into its spec what the node is to hold, the node's agent into its
//! status what it holds. The schemas refuse what makes no sense, with rules in CEL, so there is no
//! webhook; [`crds`] prints them. Nothing here talks to a cluster.

#![allow(
    clippy::duplicated_attributes,
    reason = "it takes the fields of several printer columns for one attribute given twice"
)]

pub mod crds;
mod image_cache;
pub mod logins;
mod node_image_cache;
mod schema;

pub use image_cache::{
    CacheState, ConditionReason, ConditionType, Counts, ImageCache, ImageCacheSpec,
    ImageCacheStatus, ImageList, ImageStatus, MAX_IMAGES, MAX_LISTED, MAX_LISTS, NodeSummary,
    NotWarmNode, NotWarmReason, OnDelete, Rollout, SecretName, Share, Strategy, Window,
};
pub use node_image_cache::{
    DesiredImage, Disk, FindingVerdict, HeldImage, ImageAnswer, ImageQuestion, MAX_FINDING_TEXT,
    MAX_FINDINGS, MAX_LOGINS, MAX_QUESTIONS, NodeCounts, NodeImageCache, NodeImageCacheSpec,
    NodeImageCacheStatus, NodeImageState, NodeReason, PlatformImage, Preflight, PreflightFinding,
    Source, UnwantedImage,
};

/// The group of both kinds.
pub const GROUP: &str = "onepull.dev";

/// The version of both kinds.
pub const VERSION: &str = "v1alpha1";
