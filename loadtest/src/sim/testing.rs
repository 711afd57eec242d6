//! A small cluster for unit tests.

use std::time::Duration;

use super::{SimConfig, SimPattern};
use crate::units::{ByteSize, LinkRate};

const MIB: u64 = 1 << 20;

/// A storm of nodes that want 64 MiB over links of 100 MiB a second: so fast that no
/// deadline passes while the first piece goes down a chain.
pub(super) fn config(nodes: u32) -> SimConfig {
    SimConfig {
        pattern: SimPattern::Storm,
        nodes,
        image_size: ByteSize::new(64 * MIB),
        layers: 1,
        nic: LinkRate::new(800 * MIB),
        registry: LinkRate::new(800 * MIB),
        zones: 1,
        piece: ByteSize::new(MIB),
        hop_latency: Duration::from_micros(500),
        hash_rate: ByteSize::new(1_500_000_000),
        disk_rate: ByteSize::new(2_000_000_000),
        unevenness: 80,
        overhead: Duration::ZERO,
        kill_lead_at: None,
        seed: 1,
    }
}
