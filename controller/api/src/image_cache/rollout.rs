//! How images get to the nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{share::Share, window::Window};

/// The order and the pace in which nodes get the images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// When the other nodes begin: Stream lets them begin as soon as the seed, the one node that
    /// pulls from the registry, has begun; they get each layer while it still arrives. Staged lets
    /// them begin when the seed is done. Default: Stream.
    #[serde(default)]
    pub strategy: Strategy,

    /// How many nodes may be at work at once: a number, or a share of the selected nodes such as 25%,
    /// which is rounded up. Default: 100%.
    #[serde(default)]
    pub max_parallel: Share,

    /// How many of the selected nodes must hold their images for the cache to be Ready: a number, or
    /// a share of them, which is rounded up. Nodes that are not ready themselves are not counted.
    /// Default: 100%.
    #[serde(default)]
    pub ready_when: Share,

    /// When nodes may begin to pull. What has begun is finished, also after its end. Without it they
    /// may at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// When the nodes that get an image from others begin: Stream or Staged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Strategy {
    /// As soon as the seed's download is announced.
    #[default]
    Stream,
    /// When the seed holds the image, in waves of `maxParallel`.
    Staged,
}
