//! The seam to names of unfinished blobs that the runtime is to wait for.

use async_trait::async_trait;

/// A blob that the runtime waits for before it takes a download slot. Dropping it lets the runtime go on
/// too, and may leave an empty file if no pull wants it any more.
#[async_trait]
pub trait Reservation: Send + 'static {
    /// Lets the runtime go on, as if the blob had never been reserved.
    async fn release(self: Box<Self>);
}
