//! `ImageCache`: the images that somebody wants on some nodes before any pod asks for them.

use kube::{CustomResource, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::rule;

mod conditions;
mod image_list;
mod not_warm;
mod reference;
mod rollout;
mod share;
mod status;
mod window;

pub use conditions::{ConditionReason, ConditionType};
pub use image_list::{ImageList, MAX_IMAGES};
pub use not_warm::{NotWarmNode, NotWarmReason};
pub use rollout::{Rollout, Strategy};
pub use share::Share;
pub use status::{CacheState, Counts, ImageCacheStatus, ImageStatus, MAX_LISTED, NodeSummary};
pub use window::Window;

/// Lists of one cache. The API server adds up what a rule costs at worst for lists times images, and
/// the longest one, on references, just fits.
pub const MAX_LISTS: usize = 32;

/// Pull secrets of one cache: each is read at every resolution, and one per registry is the rule.
const MAX_SECRETS: usize = 16;

/// What a Secret may be called.
const SECRET_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

/// What is wanted, and how it is to get there.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "onepull.dev",
    version = "v1alpha1",
    kind = "ImageCache",
    plural = "imagecaches",
    namespaced,
    status = "ImageCacheStatus",
    derive = "PartialEq",
    shortname = "oic",
    category = "onepull",
    doc = "Container images that are to be on some nodes before any pod asks for them. The registry sends each layer once, and the nodes get it from each other.",
    printcolumn(
        name = "Images",
        type_ = "integer",
        json_path = ".status.counts.images",
        description = "Images that the cache names."
    ),
    printcolumn(
        name = "Nodes",
        type_ = "integer",
        json_path = ".status.counts.nodes",
        description = "Nodes that it selects."
    ),
    printcolumn(
        name = "Warm",
        type_ = "integer",
        json_path = ".status.counts.warm",
        description = "Nodes that hold all images meant for them."
    ),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".status.state",
        description = "What the rollout is doing."
    ),
    printcolumn(
        name = "Upstream",
        type_ = "string",
        json_path = ".status.upstream",
        description = "Bytes that the registry sent, divided by the bytes of the images; 1.00x is one pull for all nodes."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ImageCacheSpec {
    /// Lists of images, each with the nodes that are to hold them; at most 32. A node that several
    /// lists select holds the images of all of them, at most 256.
    #[schemars(length(max = MAX_LISTS))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(extend("x-kubernetes-validations" = lists()))]
    pub cache_spec: Vec<ImageList>,

    /// Secrets of type kubernetes.io/dockerconfigjson in this namespace, for images that the registry
    /// does not give to everybody. Only a node that pulls from the registry gets to see them, and
    /// only for that pull. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_SECRETS))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Vec<SecretName>,

    /// How the images get to the nodes. By default all nodes get them at once, each from the others.
    #[serde(default)]
    pub rollout: Rollout,

    /// What becomes of the images on the nodes when this cache is deleted or no longer names them:
    /// Keep leaves them to the kubelet's garbage collection; Remove removes those that no other cache
    /// wants and no container uses. Default: Keep.
    #[serde(default)]
    pub on_delete: OnDelete,
}

/// The name of a Secret in the cache's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct SecretName {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
}

/// What becomes of images that a cache no longer wants: Keep or Remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum OnDelete {
    /// They stay, and the kubelet may collect them.
    #[default]
    Keep,
    /// They go, unless another cache wants them or a container uses them.
    Remove,
}

/// That there is something to do, and that no node is asked for more than it may hold.
///
/// The second looks at each list and adds up those that select its nodes for certain: those without
/// a selector, and those whose selector is a part of its own.
fn lists() -> [Rule; 2] {
    let covers = "!has(b.nodeSelector) || b.nodeSelector.all(k, has(a.nodeSelector) \
        && k in a.nodeSelector && a.nodeSelector[k] == b.nodeSelector[k])";
    let sum = format!("self.filter(b, {covers}).map(b, size(b.images)).sum()");
    [
        rule("size(self) > 0", "name at least one list of images"),
        rule(
            format!("self.all(a, {sum} <= {MAX_IMAGES})"),
            "at most 256 images for one node: together, the lists that select the same nodes name more",
        ),
    ]
}
