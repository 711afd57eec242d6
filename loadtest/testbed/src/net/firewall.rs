//! Rules of iptables inside a host: packets that it loses, and bytes that it counts.
//!
//! Needs [`Requirement::Iptables`](crate::Requirement). Rules belong to the host's namespace and go
//! with it; the machine's own firewall has none of them.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::Result;

use super::Host;
use crate::process::run;

/// Rules are added from several places at once; whoever finds the table locked waits this many
/// seconds, though holding it takes milliseconds.
const WAIT: [&str; 2] = ["--wait", "5"];

// === impl Host ===

impl Host {
    /// Loses every packet from `peer` that is for, or from, the TCP port `port`, without a word to
    /// anyone: both directions of every connection between the two by way of that port.
    ///
    /// # Errors
    /// When iptables refuses.
    pub fn block(&self, peer: Ipv4Addr, port: u16) -> Result<()> {
        let (peer, port) = (peer.to_string(), port.to_string());
        for side in ["--dport", "--sport"] {
            let rule = ["--protocol", "tcp", "--source", &peer, side, &port, "--jump", "DROP"];
            self.iptables(&[&["--append", "INPUT"][..], &rule].concat())?;
        }
        Ok(())
    }

    /// Sends what the host and hosts behind it send to the TCP service `from` to `to`, as kube-proxy does.
    ///
    /// # Errors
    /// When iptables refuses.
    pub fn translate(&self, from: (Ipv4Addr, u16), to: SocketAddr) -> Result<()> {
        let (address, port, to) = (from.0.to_string(), from.1.to_string(), to.to_string());
        for chain in ["PREROUTING", "OUTPUT"] {
            let of = ["--protocol", "tcp", "--destination", &address, "--dport", &port];
            let jump = ["--jump", "DNAT", "--to-destination", &to];
            self.iptables(&[&["--table", "nat", "--append", chain][..], &of, &jump].concat())?;
        }
        Ok(())
    }

    /// Takes back what [`Host::block`] did, for all peers.
    ///
    /// # Errors
    /// When iptables refuses.
    pub fn unblock(&self) -> Result<()> {
        self.iptables(&["--flush", "INPUT"]).map(|_| ())
    }

    /// From now on counts what this host sends to `peer`; see [`Host::sent`].
    ///
    /// # Errors
    /// When iptables refuses.
    pub fn count(&self, peer: Ipv4Addr) -> Result<()> {
        self.iptables(&["--append", "OUTPUT", "--destination", &peer.to_string()]).map(|_| ())
    }

    /// Bytes sent to each counted peer since [`Host::count`], headers from IP on included.
    ///
    /// # Errors
    /// When iptables refuses.
    pub fn sent(&self) -> Result<BTreeMap<Ipv4Addr, u64>> {
        let table = self.iptables(&["--list", "OUTPUT", "--numeric", "--verbose", "--exact"])?;
        Ok(table.lines().filter_map(counted).collect())
    }

    fn iptables(&self, arguments: &[&str]) -> Result<String> {
        run(self.command("iptables").args(WAIT).args(arguments))
    }
}

/// Shape: `packets bytes [target] protocol opt in out source destination`, where a rule that only
/// counts has no target; headings have no address at their end.
fn counted(line: &str) -> Option<(Ipv4Addr, u64)> {
    let mut columns = line.split_ascii_whitespace();
    let bytes = columns.nth(1)?.parse().ok()?;
    Some((columns.last()?.parse().ok()?, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_each_destination_are_read() {
        let table = "Chain OUTPUT (policy ACCEPT 9 packets, 540 bytes)\n    \
            pkts      bytes target     prot opt in     out     source               destination\n       \
            3     4711            0    --  *      *       0.0.0.0/0            10.99.0.3\n       \
            1       60            0    --  *      *       0.0.0.0/0            10.99.0.31\n";
        let counted: Vec<_> = table.lines().filter_map(counted).collect();
        assert_eq!(counted, [([10, 99, 0, 3].into(), 4711), ([10, 99, 0, 31].into(), 60)]);
    }
}
