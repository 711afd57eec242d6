//! Nodes, as messages name them.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::WireError;
use crate::router::Peer;

/// Longest name of a zone: that of a label value in Kubernetes.
const LONGEST_ZONE: usize = 63;

/// A node: `{"endpoint":"10.0.0.1:29901","zone":"eu-1a"}`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Node {
    endpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
}

// === impl Node ===

impl From<&Peer> for Node {
    fn from(peer: &Peer) -> Self {
        Self { endpoint: peer.endpoint.to_string(), zone: peer.zone.clone() }
    }
}

impl TryFrom<Node> for Peer {
    type Error = WireError;

    fn try_from(node: Node) -> Result<Self, WireError> {
        let endpoint = endpoint(&node.endpoint)?;
        match node.zone {
            Some(zone) if !is_zone(&zone) => Err(WireError::Zone(shown(&zone))),
            zone => Ok(Self { endpoint, zone }),
        }
    }
}

/// An address that a node can have.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr, WireError> {
    let address = text.parse::<SocketAddr>().ok();
    let possible = address.filter(|address| {
        let ip = address.ip();
        address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
    });
    possible.ok_or_else(|| WireError::Endpoint(shown(text)))
}

fn is_zone(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=LONGEST_ZONE).contains(&text.len()) && text.chars().all(allowed)
}

/// As much of a bad value as an error repeats.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
