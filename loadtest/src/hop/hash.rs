//! What hashing alone costs, as a floor for everything that verifies.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// Bytes hashed at a time; as large as a piece that the mirror handles, so that neither profits
/// from the cache more than the other.
const CHUNK: usize = 512 * 1024;

/// What it took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hashed {
    /// How long.
    pub seconds: f64,
    /// How much of a CPU; less than `seconds` where others take turns.
    pub cpu_seconds: f64,
    /// The last byte of the hash, so that no compiler leaves it out.
    pub witness: u8,
}

/// Hashes `bytes` bytes with SHA-256 on this thread.
pub fn hash(bytes: u64) -> Hashed {
    let chunk: Vec<u8> = (0..CHUNK).map(|at| at.to_le_bytes()[0]).collect();
    let mut hasher = Sha256::new();
    let (start, cpu_before) = (Instant::now(), cpu_time());
    let mut left = bytes;
    while left > 0 {
        let take = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        hasher.update(&chunk[..take]);
        left -= take as u64;
    }
    let witness = hasher.finalize()[31];
    let cpu = cpu_time().saturating_sub(cpu_before);
    Hashed { seconds: start.elapsed().as_secs_f64(), cpu_seconds: cpu.as_secs_f64(), witness }
}

/// What this thread has used so far, user and system.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
