//! The machine that a figure was measured on.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a reader needs to judge a figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name, as Linux tells it.
    pub cpu: String,
    /// The kernel's release.
    pub kernel: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Whether this program was built with optimisation.
    pub optimised: bool,
}

// === impl Machine ===

impl Machine {
    /// This machine; what cannot be found out is `unknown` or zero.
    pub fn here() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| "unknown".into(), |release| release.trim().to_owned()),
            memory_bytes: field("/proc/meminfo", "MemTotal")
                .and_then(|memory| memory.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib * 1024),
            optimised: !cfg!(debug_assertions),
        }
    }
}

/// The value of the first `name : value` line.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
