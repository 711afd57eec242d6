//! The agents beside the embedded nodes.

use std::net::SocketAddr;

use super::{FleetError, Node};
use crate::units::LinkRate;

/// One agent a node, or none at all.
pub(super) struct Agents(Vec<SocketAddr>);

// === impl Agents ===

impl Agents {
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    #[allow(clippy::unused_async, reason = "starting an agent will wait for its peers")]
    pub(super) async fn start(_: &[Node], _: LinkRate) -> Result<Self, FleetError> {
        Err(FleetError::setup("start the agents")("this build has no agent yet"))
    }

    pub(super) fn mirrors(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().copied()
    }

    #[allow(clippy::unused_async, reason = "announcing takes time")]
    pub(super) async fn announced(&self, _: usize, _: usize) -> Result<(), FleetError> {
        Ok(())
    }

    #[allow(clippy::unused_async, reason = "stopping takes time")]
    pub(super) async fn stop(&self) {}
}
