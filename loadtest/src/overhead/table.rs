//! The overhead as a text table.

use super::{Estimate, Overhead};

/// The table and what one needs to read it, in milliseconds.
pub fn render(overhead: &Overhead) -> String {
    let requests = overhead.pairs.first().map_or(0.0, |pair| pair.requests);
    let row = |name: &str, estimate: &Estimate| {
        let [mean, sd, upper] =
            [estimate.mean, estimate.sd, estimate.upper95].map(|seconds| seconds * 1000.0);
        format!("{name:<12}  {mean:>8.2}  {sd:>8.2}  {upper:>9.2}\n")
    };
    format!(
        "{} pairs of pulls, images of {} in {} layers, {requests} requests to the mirror a pull\n\n\
         added by        mean ms     sd ms  95 % below\n{}{}",
        overhead.pairs.len(),
        overhead.image_bytes,
        overhead.layers,
        row("a request", &overhead.per_request),
        row("a pull", &overhead.per_pull),
    )
}
