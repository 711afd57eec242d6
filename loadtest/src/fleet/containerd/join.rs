//! Nodes that join: their agents start and find the others.

use std::net::Ipv4Addr;

use futures::future::try_join_all;
use onepull_testbed::{Requirement, missing};

use super::{Agent, ContainerdFleet, FleetError, Orders};
use crate::key;

// === impl ContainerdFleet ===

impl ContainerdFleet {
    /// Starts the agents of some nodes, and waits until each serves and knows all that run.
    ///
    /// # Errors
    /// When one does not become ready.
    pub async fn join(&self, nodes: &[usize]) -> Result<(), FleetError> {
        let key = self.config.secure.then(|| key::write(self.folder.path())).transpose();
        let key = key.map_err(FleetError::setup("write a cluster key"))?;
        for index in nodes {
            let node = &self.nodes[*index];
            let bootstrap = self.somebody_running();
            let (program, folder) = (&self.config.agent, self.folder.path());
            let agent =
                Agent::spawn(program, node, bootstrap, folder, &Orders::File, key.as_deref())?;
            // A node that has joined before keeps the agent that it has.
            let _ = node.agent.set(agent);
        }
        let running = self.nodes.iter().filter(|node| node.agent.get().is_some()).count();
        let others = u32::try_from(running).unwrap_or(u32::MAX).saturating_sub(1);
        try_join_all(nodes.iter().map(|index| self.nodes[*index].agent_ready(others))).await?;
        Ok(())
    }

    /// The first node is where the others look for the network, as a headless service would.
    fn somebody_running(&self) -> Option<Ipv4Addr> {
        let first = self.nodes.iter().find(|node| node.agent.get().is_some());
        first.map(|node| node.host.ip())
    }

    /// Counts from now on what the registry sends to each of `nodes`.
    ///
    /// # Errors
    /// Without iptables.
    pub fn count_registry_bytes(&self, nodes: &[usize]) -> Result<(), FleetError> {
        let failed = || "count what the registry sends to each node";
        if let Some(reason) = missing(&[Requirement::Iptables]) {
            return Err(FleetError::setup(failed())(reason));
        }
        let mut nodes = nodes.iter().map(|node| self.nodes[*node].host.ip());
        let counted = nodes.try_for_each(|node| self.origins[0].host.count(node));
        counted.map_err(FleetError::setup(failed()))
    }

    /// What the registry's interface sent to each node since that is counted; zero where it is not.
    ///
    /// # Errors
    /// When iptables does not tell.
    pub fn registry_bytes(&self) -> Result<Vec<u64>, FleetError> {
        let sent = self.origins[0].host.sent();
        let sent = sent.map_err(FleetError::setup("read what the registry sent"))?;
        let nodes = self.nodes.iter().map(|node| sent.get(&node.host.ip()).copied());
        Ok(nodes.map(Option::unwrap_or_default).collect())
    }
}
