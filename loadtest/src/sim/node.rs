//! A simulated node: what it pulls, and how far it is.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
};

use onepull_mirror::{Peer, claim::Verdict};

use super::{
    agenda::Nanos,
    links::{Intake, StreamId},
};

/// A node, by its number.
pub(super) type NodeId = usize;
/// A layer, by its number in the manifest.
pub(super) type LayerId = usize;

/// Where all peer endpoints listen.
const PORT: u16 = 29901;

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) peer: Peer,
    pub(super) zone: usize,
    pub(super) client: Client,
    pub(super) may_lead: bool,
    pub(super) life: Life,
    /// Its part in each layer.
    pub(super) parts: Vec<Part>,
    /// Layers not begun, in the order of the manifest (ADR 15).
    pub(super) queue: VecDeque<LayerId>,
    /// Layers under way.
    pub(super) open: usize,
    pub(super) intake: Intake,
    /// Bytes that the registry sent it.
    pub(super) upstream: u64,
}

/// Who fetches on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// containerd through the mirror: three layers at a time, in an order of its own.
    Runtime,
    /// The warm path: in manifest order, the next layer when the parent has no more of this one.
    Warm,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It has not all layers yet. Next: `Done` or `Dead`.
    Pulling,
    /// It has had all since this instant.
    Done(Nanos),
    /// It was killed.
    Dead,
}

/// A node's part in one layer.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) doing: Doing,
    /// Pieces that are here.
    pub(super) have: u32,
    /// Counts requests of the runtime, so that timers of an earlier one end.
    pub(super) request: u32,
    /// Counts changes of what is done, so that answers to an earlier question are ignored.
    pub(super) epoch: u32,
    /// When its request began.
    pub(super) since: Nanos,
    /// When its stream was opened or a piece came last.
    pub(super) moved: Nanos,
    /// When a piece came last.
    pub(super) grew: Option<Nanos>,
    /// When a verdict or piece came last, or a child was there.
    pub(super) active: Nanos,
    /// Parents that failed since the last piece.
    pub(super) lost: Vec<SocketAddr>,
    /// Parents still to try.
    pub(super) spares: VecDeque<NodeId>,
    /// The verdict on its way.
    pub(super) verdict: Option<Verdict>,
    /// The piece reached at the last claim.
    pub(super) claimed_at: Option<u32>,
    /// Where it gets its pieces from.
    pub(super) stream: Option<StreamId>,
    /// Streams to those that follow it.
    pub(super) followers: Vec<StreamId>,
    /// Nodes above it when it got its parent.
    pub(super) depth: u32,
    pub(super) beats: bool,
}

/// What a node does about a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing yet.
    #[default]
    Idle,
    /// It asks its coordinator. Next: `Following`, `Leading`.
    Claiming,
    /// It streams from this node. Next: `Committing`, or `Claiming` when the stream breaks.
    Following(NodeId),
    /// It was told to get it from the registry.
    Leading,
    /// It gave up waiting, and the runtime went to the registry; no coordinator told it to.
    Outside,
    /// It has all bytes, and the runtime commits them; it led, or followed this node.
    Committing(Option<NodeId>),
    /// It has all of it, and said so.
    Complete,
}

/// The peer with a number, in a zone if there are several.
pub(super) fn peer(id: NodeId, zones: u32) -> Peer {
    let zone = (zones > 1).then(|| format!("zone-{}", zone(id, zones)));
    Peer { endpoint: endpoint(id), zone }
}

/// Which zone a node is in: they are dealt out in turn.
pub(super) fn zone(id: NodeId, zones: u32) -> usize {
    id % usize::try_from(zones.max(1)).unwrap_or(1)
}

/// The node with an endpoint.
pub(super) fn number(endpoint: SocketAddr) -> NodeId {
    match endpoint {
        SocketAddr::V4(v4) => (v4.ip().to_bits() & 0x00ff_ffff) as NodeId,
        SocketAddr::V6(_) => NodeId::MAX,
    }
}

fn endpoint(id: NodeId) -> SocketAddr {
    let host = u32::try_from(id).unwrap_or(u32::MAX) & 0x00ff_ffff;
    SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 | host), PORT))
}

// === impl Node ===

impl Node {
    pub(super) fn is_dead(&self) -> bool {
        self.life == Life::Dead
    }

    /// Pieces of all layers together.
    pub(super) fn pieces(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.have)).sum()
    }

    /// Whether another layer than `layer` grew since `since`.
    pub(super) fn is_busy_beside(&self, layer: LayerId, since: Nanos) -> bool {
        let busy = |part: &Part| part.grew.is_some_and(|grew| grew > since);
        self.parts.iter().enumerate().any(|(other, part)| other != layer && busy(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_endpoint() {
        for id in [0, 1, 255, 256, 4999, 70_000] {
            assert_eq!(number(peer(id, 1).endpoint), id);
        }
    }
}
