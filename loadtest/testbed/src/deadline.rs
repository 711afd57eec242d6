//! Waiting for something another process does, never without an end.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How often a condition is looked at again: short beside the 100 ms and more that a server takes
/// to start, long beside the cost of asking.
const POLL: Duration = Duration::from_millis(25);

/// Asks again until the answer is `Some`, and returns it.
///
/// # Errors
/// When `limit` has passed; the message names what was waited for.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match tokio::time::timeout_at(end, ask()).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) if Instant::now() < end => tokio::time::sleep(POLL).await,
            _ => bail!("{what} did not happen within {limit:?}"),
        }
    }
}
