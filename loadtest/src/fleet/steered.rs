//! The seam to nodes that can be told what to hold, as a controller tells them.

use async_trait::async_trait;
use onepull_agent::{desired::Source, status::ImageStatus};

use super::FleetError;

/// Nodes that bring the image to themselves once they are told to.
#[async_trait]
pub trait Steered: Send + Sync {
    /// Tells a node to hold the image, and where it comes from. Does not wait for it.
    ///
    /// # Errors
    /// When the node cannot be told.
    async fn tell(&self, node: usize, source: Source) -> Result<(), FleetError>;

    /// What a node says of the image; `None` while it has not heard of it.
    ///
    /// # Errors
    /// When it does not answer, or makes no sense of what it was told.
    async fn hear(&self, node: usize) -> Result<Option<ImageStatus>, FleetError>;
}
