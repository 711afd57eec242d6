//! What a measurement of single pulls needs of a fleet, beyond what a pattern does.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ContainerdFleet, FleetError,
    agent::{MIRROR, PEER},
};
use crate::{image::Image, overhead::misses};

// === impl ContainerdFleet ===

impl ContainerdFleet {
    /// Adds an image to the first registry.
    ///
    /// # Errors
    /// When the push fails.
    pub async fn push(&self, image: &Image, tag: &str) -> Result<(), FleetError> {
        match self.origins.first() {
            Some(origin) => origin.push(image, tag).await,
            None => Ok(()),
        }
    }

    /// How long a node takes to pull a tag of the registry.
    ///
    /// # Errors
    /// When the pull fails.
    pub async fn time_pull(&self, node: usize, tag: &str) -> Result<Duration, FleetError> {
        let start = tokio::time::Instant::now();
        self.nodes[node].pull(tag).await?;
        Ok(start.elapsed())
    }

    /// How long the node's mirror takes to say that nobody has a blob, `count` times.
    ///
    /// # Errors
    /// When it says something else, or nothing.
    pub async fn time_misses(
        &self,
        node: usize,
        count: usize,
    ) -> Result<Vec<Duration>, FleetError> {
        let mirror = SocketAddr::from((Ipv4Addr::LOCALHOST, MIRROR));
        let took = self.inside(node, move || misses::ask(mirror, node, count)).await?;
        took.map_err(FleetError::setup("time a miss"))
    }

    /// Runs a future in a node's network.
    ///
    /// # Errors
    /// When its namespace cannot be entered.
    pub async fn inside<T, F>(
        &self,
        node: usize,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, FleetError>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        let entered = self.nodes[node].host.enter(make).await;
        entered.map_err(FleetError::setup("run something in a node's network"))
    }

    /// The process of a node's agent.
    pub async fn agent_pid(&self, node: usize) -> Option<u32> {
        Some(self.nodes[node].agent.get()?.pid().await)
    }

    /// Where a node's agent serves its peers.
    pub fn peer_endpoint(&self, node: usize) -> SocketAddr {
        SocketAddr::from((self.nodes[node].host.ip(), PEER))
    }

    /// The node's `hosts.toml` for the registry.
    pub fn hosts_toml(&self, node: usize) -> PathBuf {
        let registry = &self.origins[0].registry;
        self.nodes[node].hosts_dir.join(registry.name()).join("hosts.toml")
    }

    /// A `hosts.toml` that knows the registry and no mirror.
    pub fn plain_hosts_toml(&self) -> String {
        super::hosts::plain(&self.origins[0].registry)
    }

    /// Copies what the agents logged to a folder, which it makes. A measurement is worth more than
    /// its logs: one that cannot be copied is told and lost.
    pub fn save_logs(&self, folder: &Path) {
        let copy = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            self.nodes.iter().filter_map(|node| node.agent.get()).try_for_each(|agent| {
                let name = agent.log.file_name().unwrap_or_default();
                fs::copy(&agent.log, folder.join(name)).map(|_| ())
            })
        };
        if let Err(error) = copy() {
            tracing::warn!(%error, folder = %folder.display(), "the agents' logs are lost");
        }
    }

    /// Requests of containerd that the node's agent has answered so far.
    ///
    /// # Errors
    /// When the agent does not tell.
    pub async fn mirror_requests(&self, node: usize) -> Result<f64, FleetError> {
        let node = &self.nodes[node];
        let silent = || format!("the agent of {} does not show its metrics", node.name);
        let requests = match node.agent.get() {
            Some(agent) => agent.requests(&node.host).await,
            None => None,
        };
        requests.ok_or_else(|| FleetError::setup("count the mirror's requests")(silent()))
    }
}
