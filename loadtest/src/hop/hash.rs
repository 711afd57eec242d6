//! What hashing alone costs, as a floor for everything that verifies.

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
    /// How much of a CPU; one thread does nothing else, so it is the same.
    pub cpu_seconds: f64,
    /// The last byte of the hash, so that no compiler leaves it out.
    pub witness: u8,
}

/// Hashes `bytes` bytes with SHA-256 on this thread.
pub fn hash(bytes: u64) -> Hashed {
    let chunk: Vec<u8> = (0..CHUNK).map(|at| at.to_le_bytes()[0]).collect();
    let mut hasher = Sha256::new();
    let start = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let take = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        hasher.update(&chunk[..take]);
        left -= take as u64;
    }
    let witness = hasher.finalize()[31];
    let seconds = start.elapsed().as_secs_f64();
    Hashed { seconds, cpu_seconds: seconds, witness }
}
