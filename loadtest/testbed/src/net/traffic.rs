//! Bytes that passed a host's link, as the kernel counts them.

use std::collections::HashMap;

/// Bytes on the wire, headers included, as the host sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received by the host.
    pub rx: u64,
    /// Sent by the host.
    pub tx: u64,
}

/// Reads the counters of all interfaces from the text of `/proc/net/dev`.
///
/// Shape: two lines of headings, then `name: rx_bytes … (8 columns) tx_bytes …`.
pub(super) fn parse(text: &str) -> HashMap<String, Traffic> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(String, Traffic)> {
    let (name, counters) = line.split_once(':')?;
    let mut counters = counters.split_ascii_whitespace();
    let rx = counters.next()?.parse().ok()?;
    let tx = counters.nth(7)?.parse().ok()?;
    Some((name.trim().to_owned(), Traffic { rx, tx }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let text = "Inter-|   Receive          |  Transmit\n \
                    face |bytes packets errs drop fifo frame compressed multicast|bytes packets\n   \
                    n1: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n";
        let traffic = parse(text);
        assert_eq!(traffic, HashMap::from([("n1".into(), Traffic { rx: 1000, tx: 2000 })]));
    }
}
