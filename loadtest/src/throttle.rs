//! A token bucket: what makes a loopback connection behave like a link of a given rate.
//!
//! It shapes what passes through the program that calls it, not what the kernel already buffered;
//! at the rates and sizes of a load test those few hundred KiB do not show.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// How far behind its rate a bucket may let a burst catch up. A timer fires up to some
/// milliseconds late on a loaded machine; without this credit each lateness would lower the rate.
const CATCH_UP: Duration = Duration::from_millis(20);

/// A rate shared by everyone who takes from it, first come first served.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: u64,
    /// When everything taken so far has passed the link.
    idle_at: Mutex<Instant>,
}

// === impl Throttle ===

impl Throttle {
    /// A link of this rate; a rate of zero is taken as one byte per second.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), idle_at: Mutex::new(Instant::now()) }
    }

    /// Returns when `bytes` have passed the link.
    ///
    /// # Cancel safety
    /// A cancelled wait has still used the link, as bytes in flight would have.
    pub async fn take(&self, bytes: usize) {
        sleep_until(self.reserve(bytes as u64)).await;
    }

    fn reserve(&self, bytes: u64) -> Instant {
        let now = Instant::now();
        let mut idle_at = self.idle_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        *idle_at = (*idle_at).max(earliest) + self.time_for(bytes);
        *idle_at
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_pass_at_the_rate_of_the_link() {
        let link = Throttle::new(1000);
        let start = Instant::now();
        for _ in 0..10 {
            link.take(500).await;
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(4980) && took <= Duration::from_millis(5010));
    }

    #[tokio::test(start_paused = true)]
    async fn all_takers_share_one_rate() {
        let link = Arc::new(Throttle::new(1000));
        let start = Instant::now();
        let takers = (0..4).map(|_| {
            let link = Arc::clone(&link);
            async move { link.take(1000).await }
        });
        futures::future::join_all(takers).await;
        assert!(start.elapsed() >= Duration::from_millis(3980));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_link_saves_up_no_burst() {
        let link = Throttle::new(1000);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        link.take(1000).await;
        assert!(start.elapsed() >= Duration::from_millis(980));
    }
}
