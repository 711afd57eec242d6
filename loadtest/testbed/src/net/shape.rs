//! The rates of a host's link, kept by a token bucket (tbf) at each end.

use anyhow::Result;

use super::namespace::Namespace;

/// The bucket refills at most this many times a second; see [`burst`].
const REFILLS: u64 = 250;

/// A veth passes segments of up to 64 KiB in one piece (GSO). A smaller bucket would have the
/// kernel cut each of them, which costs the CPU that the test is not about.
const SMALLEST_BURST: u64 = 128 * 1024;

/// The queue before the bucket, in time: that of an ordinary switch port under load. A shorter one
/// drops so much at 50 Mbit/s that TCP does not reach the rate.
const QUEUE: &str = "100ms";

/// Rates in bits per second; `None` leaves a direction unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// What the host can send.
    pub up: Option<u64>,
    /// What the host can receive.
    pub down: Option<u64>,
}

// === impl Shape ===

impl Shape {
    /// No limit in either direction.
    pub const OPEN: Self = Self { up: None, down: None };

    /// The same rate in both directions, as a NIC has it.
    pub fn both(bits_per_second: u64) -> Self {
        Self { up: Some(bits_per_second), down: Some(bits_per_second) }
    }
}

/// Limits what leaves through `interface` of a namespace.
pub(super) fn limit(namespace: &Namespace, interface: &str, rate: Option<u64>) -> Result<()> {
    let Some(rate) = rate else { return Ok(()) };
    let mut tc = namespace.command("tc");
    tc.args(["qdisc", "replace", "dev", interface, "root", "tbf"]);
    tc.args(["rate", &format!("{rate}bit"), "burst", &burst(rate).to_string()]);
    tc.args(["latency", QUEUE]);
    crate::process::run(&mut tc)?;
    Ok(())
}

/// Bytes that may pass at once: what the rate allows in one timer tick, or the rate is not reached.
fn burst(rate: u64) -> u64 {
    (rate / 8 / REFILLS).max(SMALLEST_BURST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_link_may_pass_a_tick_of_its_rate_at_once() {
        assert_eq!(burst(1_000_000_000), 500_000);
        assert_eq!(burst(50_000_000), SMALLEST_BURST);
    }
}
