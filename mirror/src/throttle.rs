//! A rate limit for bytes, shared by all streams of one direction.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant, sleep_until};

/// Time's worth of bytes that may pass at once after a pause: smooth enough for a network
/// interface, coarse enough for timers of a millisecond.
const BURST: Duration = Duration::from_millis(20);

/// Lets a given number of bytes pass per second, in the order of asking.
///
/// The generic cell rate algorithm (ITU-T I.371): one instant says when the line is free again.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: f64,
    free_at: Mutex<Instant>,
}

impl Throttle {
    /// A line of `bytes_per_second`; zero counts as one.
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 exact bits")]
    pub fn new(bytes_per_second: u64) -> Self {
        let bytes_per_second = bytes_per_second.max(1) as f64;
        Self { bytes_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until `bytes` may pass.
    ///
    /// # Cancel safety
    /// A dropped wait has used its place on the line.
    pub async fn take(&self, bytes: usize) {
        let turn = self.reserve(bytes, Instant::now());
        sleep_until(turn).await;
    }

    /// Books `bytes` on the line and says when they may pass.
    #[allow(clippy::cast_precision_loss, reason = "a chunk needs no 53 exact bits")]
    fn reserve(&self, bytes: usize, now: Instant) -> Instant {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = (*free_at).max(now.checked_sub(BURST).unwrap_or(now)) + cost;
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_the_time_that_the_rate_says() {
        let throttle = Throttle::new(1_000_000);
        let start = Instant::now();
        for _ in 0..100 {
            throttle.take(10_000).await;
        }
        let took = start.elapsed();
        assert!(took <= Duration::from_secs(1) && took >= Duration::from_millis(970), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_earns_no_more_than_one_burst() {
        let throttle = Throttle::new(1_000_000);
        tokio::time::advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        throttle.take(1_000_000).await;
        assert!(start.elapsed() >= Duration::from_millis(970));
    }
}
