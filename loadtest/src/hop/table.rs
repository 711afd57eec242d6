//! The hop as a text table.

use super::{Cost, Hop, Repeat};

/// The table and what one needs to read it.
pub fn render(hop: &Hop) -> String {
    let row = |name: &str, cost: &Cost| {
        format!("{name:<20}  {:>6.2}  {:>10.2}\n", cost.gb_per_second, cost.cpu_seconds_per_gb)
    };
    let warning = if hop.machine.optimised {
        ""
    } else {
        "\nThis is an unoptimised build; its figures say nothing. Build with --release.\n"
    };
    format!(
        "a blob of {}, {} repeats, medians\n\n                        GB/s  CPU-s / GB\n{}{}{}{}\n\
         plain: {:.2} of nginx's throughput, {:.2} times the CPU time of hashing\n\
         TLS: {:.2} of the plain throughput, {:.2} times the CPU time of hashing\n{warning}",
        hop.blob_bytes,
        hop.repeats.len(),
        row("peer -> mirror", &hop.onepull),
        row("peer -> mirror, TLS", &hop.onepull_tls),
        row("nginx, sendfile", &hop.nginx),
        row("sha256, one thread", &hop.sha256),
        hop.throughput_to_nginx,
        hop.cpu_to_sha256,
        hop.tls_throughput_to_plain,
        hop.tls_cpu_to_sha256,
    )
}

/// One repeat in a line.
pub(super) fn line(repeat: &Repeat) -> String {
    let cost = |cost: Cost| format!("{:.2} GB/s", cost.gb_per_second);
    let Repeat { onepull, onepull_tls, nginx, sha256 } = *repeat;
    let [onepull, tls, nginx, sha256] = [onepull, onepull_tls, nginx, sha256].map(cost);
    format!("peer -> mirror {onepull}, with TLS {tls}, nginx {nginx}, sha256 {sha256}")
}
