//! The seam to names of unfinished blobs that the runtime is to wait for.

use async_trait::async_trait;

/// A blob that the runtime waits for before it takes a download slot. Dropping it is
/// [`Reservation::release`] without waiting.
#[async_trait]
pub trait Reservation: Send + 'static {
    /// Lets the runtime go on, as if the blob had never been reserved.
    async fn release(self: Box<Self>);
}
