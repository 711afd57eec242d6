//! The threads that carry the agent's tasks.

use std::{io, thread::available_parallelism};

use tokio::runtime::{Builder, Runtime};

/// Threads at most: enough for a link of 25 Gbit/s with TLS, and a large node's cores are for its pods.
const MOST: usize = 8;

/// Starts them.
///
/// # Errors
/// When the operating system has none left.
pub fn start() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, Into::into);
    Builder::new_multi_thread().worker_threads(threads(cores)).enable_all().build()
}

/// One for two cores. A thread with nothing to do waits for the kernel, which wakes it for packets that
/// another one is receiving already: dear on a virtual machine, and for nothing (ADR 11).
fn threads(cores: usize) -> usize {
    (cores / 2).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_at_least_and_a_large_node_keeps_its_cores() {
        assert_eq!([1, 2, 3, 4, 64].map(threads), [1, 1, 1, 2, MOST]);
    }
}
