//! How a server treats its connections: those of the runtime, of peers, of probes.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::time::Duration;

use crate::metrics::Metrics;

/// The IP traffic class of peer traffic: DSCP CS1, "lower effort" (RFC 8622's predecessor), so that
/// a node's own work goes first.
pub const LOWER_EFFORT: u32 = 8 << 2;

/// The congestion control of all that is sent, whatever the host's default is. A node of a chain sends what it
/// gets, and BBR takes that for what the path can carry; within a node its pacing is CPU time for nothing (ADR 28).
pub(super) const STEADY: &str = "cubic";

/// Connections served at once. A node's runtime needs tens, a busy holder hundreds.
const CONNECTIONS: usize = 2048;

/// How long running answers may go on once the server drains. Kubernetes kills after 30 s; what
/// stops after the listeners gets the rest.
const DRAIN: Duration = Duration::from_secs(20);

/// A peer that takes nothing for this long is given up, and its buffers are freed. Peers give each
/// other up after seconds, so this one is dead or never meant to read.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// How a server treats its connections.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The traffic class of what is sent; `None` leaves the default.
    pub traffic_class: Option<u32>,
    /// A connection whose client takes nothing for this long is reset, whether the client is dead
    /// or alive and not reading; `None` for never.
    pub unacknowledged: Option<Duration>,
    /// Connections served at once. Beyond that new ones are closed as they come, so that a runtime
    /// goes to the registry and a peer to the next one, instead of waiting.
    pub connections: usize,
    /// How long running answers may go on once the server drains.
    pub drain: Duration,
    /// What a connection has to prove before it is heard; `None` for nothing.
    pub tls: Option<Arc<ServerConfig>>,
    /// Counts connections.
    pub metrics: Metrics,
}

// === impl Serving ===

impl Serving {
    /// For the container runtime on this node. It may stall for minutes, on a slow disk for one, and
    /// a reset would fail its pull. When it dies, the kernel, which is its own, says so at once.
    pub fn runtime(metrics: Metrics) -> Self {
        Self {
            traffic_class: None,
            unacknowledged: None,
            connections: CONNECTIONS,
            drain: DRAIN,
            tls: None,
            metrics,
        }
    }

    /// For other nodes, which prove themselves as `tls` says.
    pub fn peers(metrics: Metrics, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            tls,
            traffic_class: Some(LOWER_EFFORT),
            unacknowledged: Some(UNACKNOWLEDGED),
            ..Self::runtime(metrics)
        }
    }
}
