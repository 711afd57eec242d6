//! How far an image is, as coarse as it is reported.

use onepull_api::{HeldImage, NodeImageState, NodeReason};

/// What two reports have to differ in to be worth two writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) state: NodeImageState,
    reason: Option<NodeReason>,
    /// Of its bytes, while they come.
    pub(super) quarter: u64,
}

// === impl Stage ===

impl Stage {
    pub(super) fn of(image: &HeldImage) -> Self {
        let quarter = match image.state {
            NodeImageState::Warming => quarter(image.bytes_done, image.bytes_total),
            _ => 0,
        };
        Self { state: image.state, reason: image.reason, quarter }
    }

    /// Whether the image is where it is meant to be.
    pub(super) fn is_done(self) -> bool {
        matches!(self.state, NodeImageState::Warm | NodeImageState::Removed)
    }

    /// Whether it is tried again after this.
    pub(super) fn is_failure(self) -> bool {
        matches!(self.state, NodeImageState::NeedsUpstream | NodeImageState::Failed)
    }
}

/// Four when all are here.
fn quarter(done: u64, total: Option<u64>) -> u64 {
    let Some(total) = total.filter(|total| *total > 0) else { return 0 };
    let quarters = u128::from(done.min(total)) * 4 / u128::from(total);
    u64::try_from(quarters).unwrap_or(4)
}
