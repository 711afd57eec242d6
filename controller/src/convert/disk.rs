//! How much of a node's disk images may take.

use crate::planner::Disk;

/// How much of a node's file system of images is for declared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskPolicy {
    /// Per cent that stay free, whatever is declared.
    pub reserve_percent: u8,
    /// Per cent that declared images may take, all together.
    pub budget_percent: u8,
}

/// The kubelet begins to collect images when 85 per cent of the disk are used: what is brought in above that goes at
/// once, and takes others with it.
const RESERVE_PERCENT: u8 = 15;

/// Leaves a quarter of the disk to images that nobody declares, logs and writable layers, below the point where the
/// kubelet begins to collect.
const BUDGET_PERCENT: u8 = 60;

// === impl DiskPolicy ===

impl DiskPolicy {
    /// The room on a file system.
    pub fn room(self, reported: &onepull_api::Disk) -> Disk {
        let reserve = share(reported.capacity_bytes, self.reserve_percent);
        Disk {
            free: reported.available_bytes.saturating_sub(reserve),
            budget: share(reported.capacity_bytes, self.budget_percent),
        }
    }
}

impl Default for DiskPolicy {
    fn default() -> Self {
        Self { reserve_percent: RESERVE_PERCENT, budget_percent: BUDGET_PERCENT }
    }
}

/// Sizes are what a node says, so the product may be anything.
fn share(bytes: u64, percent: u8) -> u64 {
    let exact = u128::from(bytes) * u128::from(percent.min(100)) / 100;
    u64::try_from(exact).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_ends_where_the_kubelet_begins_to_collect() {
        let disk = |available_bytes| onepull_api::Disk { capacity_bytes: 1000, available_bytes };
        let policy = DiskPolicy::default();
        assert_eq!(policy.room(&disk(500)), Disk { free: 350, budget: 600 });
        assert_eq!(policy.room(&disk(100)), Disk { free: 0, budget: 600 });
        let huge = onepull_api::Disk { capacity_bytes: u64::MAX, available_bytes: u64::MAX };
        assert!(policy.room(&huge).free > policy.room(&huge).budget);
    }
}
