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
    let [p50, p99, worst] = [overhead.misses.p50, overhead.misses.p99, overhead.misses.worst]
        .map(|seconds| seconds * 1000.0);
    format!(
        "a miss (404), {} requests to the mirrors of {} idle nodes of real containerds:\n\
         p50 {p50:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms\n\n\
         {} pairs of pulls, images of {} in {} layers, {requests} requests to the mirror a pull\n\n\
         added by        mean ms     sd ms  95 % below\n{}{}",
        overhead.misses.requests,
        overhead.misses.nodes,
        overhead.pairs.len(),
        overhead.image_bytes,
        overhead.layers,
        row("a request", &overhead.per_request),
        row("a pull", &overhead.per_pull),
    )
}
