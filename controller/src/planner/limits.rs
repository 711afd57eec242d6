//! What the operator allows, so that tenants cannot fill a pool.

/// The operator's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// On one node, for all caches together.
    pub node: Allowance,
    /// On one node, for the caches of one namespace.
    pub namespace: Allowance,
}

/// Most images and bytes; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Most images.
    pub images: Option<usize>,
    /// Most bytes on the node's disk.
    pub bytes: Option<u64>,
}

/// What has been used of an allowance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) images: usize,
    pub(super) bytes: u64,
}

// === impl Allowance ===

impl Allowance {
    /// Whether one more image of `bytes` stays within it.
    pub(super) fn admits(&self, used: Usage, bytes: u64) -> bool {
        let images = self.images.is_none_or(|most| used.images < most);
        images && self.bytes.is_none_or(|most| used.bytes.saturating_add(bytes) <= most)
    }
}

// === impl Usage ===

impl Usage {
    pub(super) fn add(&mut self, bytes: u64) {
        self.images += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}
