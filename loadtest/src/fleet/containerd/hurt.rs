//! What a fault does to nodes, and how it is undone.

use std::time::Duration;

use onepull_testbed::Shape;
use tokio::time::sleep;

use super::{ContainerdFleet, FleetError, agent::P2P, node::Node};
use crate::faults::Fault;

/// A slow node keeps this part of its link.
const SLOW: u64 = 10;

/// Between the freezing of a lead's containerd and that of its agent: time for the followers to see
/// their stream stop, before the one who could tell them why is gone as well.
const THEN_THE_AGENT: Duration = Duration::from_secs(2);

// === impl ContainerdFleet ===

impl ContainerdFleet {
    /// Lets a fault strike; `node` is its victim, if it has one.
    ///
    /// # Errors
    /// When the effect cannot be had, for example because a process has ended already.
    pub async fn hurt(&self, fault: Fault, node: usize) -> Result<(), FleetError> {
        let victim = &self.nodes[node];
        let struck = match fault {
            Fault::KillLead | Fault::KillFollower => victim.kill_agent().await,
            Fault::StallParent => victim.freeze_agent().await,
            Fault::KillContainerd => {
                victim.containerd.write().await.kill();
                Ok(())
            }
            Fault::RestartContainerd => victim.containerd.write().await.restart().await,
            Fault::FrozenLead => victim.freeze().await,
            Fault::SlowNode => self.slow_down(victim),
            Fault::PartitionDht => self.partition(),
            Fault::FullDisk => victim.fill_disk(true),
            Fault::PowerOff => victim.host.cut(),
            // Its bytes were turned over before the storm.
            Fault::CorruptByte => Ok(()),
        };
        struck.map_err(FleetError::setup(format!("make {fault} strike {}", victim.name)))
    }

    /// Undoes what can be undone. A killed agent stays dead.
    ///
    /// # Errors
    /// When a containerd does not come back, or the kernel refuses.
    pub async fn heal(&self, fault: Fault, node: usize) -> Result<(), FleetError> {
        let victim = &self.nodes[node];
        let lifted = match fault {
            Fault::KillLead
            | Fault::KillFollower
            | Fault::RestartContainerd
            | Fault::CorruptByte => Ok(()),
            Fault::StallParent => victim.thaw_agent().await,
            Fault::KillContainerd => victim.containerd.write().await.restart().await,
            Fault::FrozenLead => victim.thaw().await,
            Fault::SlowNode => self.speed_up(victim),
            Fault::PartitionDht => self.nodes.iter().try_for_each(|node| node.host.unblock()),
            Fault::FullDisk => victim.fill_disk(false),
            Fault::PowerOff => victim.host.mend(),
        };
        lifted.map_err(FleetError::setup(format!("lift {fault} from {}", victim.name)))
    }

    fn slow_down(&self, victim: &Node) -> anyhow::Result<()> {
        let nic = self.config.nic.map(|nic| nic.bits_per_second() / SLOW);
        victim.host.reshape(Shape { up: nic, down: nic })
    }

    fn speed_up(&self, victim: &Node) -> anyhow::Result<()> {
        let nic = self.config.nic.map(|nic| nic.bits_per_second());
        victim.host.reshape(Shape { up: nic, down: nic })
    }

    /// Neither half of the nodes hears anything of the other's DHT; their peer endpoints still do.
    fn partition(&self) -> anyhow::Result<()> {
        let (left, right) = self.nodes.split_at(self.nodes.len() / 2);
        for (one, other) in [(left, right), (right, left)] {
            for node in one {
                other.iter().try_for_each(|peer| node.host.block(peer.host.ip(), P2P))?;
            }
        }
        Ok(())
    }
}

// === impl Node ===

impl Node {
    async fn kill_agent(&self) -> anyhow::Result<()> {
        if let Some(agent) = self.agent.get() {
            agent.kill().await;
        }
        Ok(())
    }

    async fn freeze_agent(&self) -> anyhow::Result<()> {
        match self.agent.get() {
            Some(agent) => agent.freeze().await,
            None => Ok(()),
        }
    }

    async fn thaw_agent(&self) -> anyhow::Result<()> {
        match self.agent.get() {
            Some(agent) => agent.thaw().await,
            None => Ok(()),
        }
    }

    async fn freeze(&self) -> anyhow::Result<()> {
        self.containerd.write().await.process().freeze()?;
        sleep(THEN_THE_AGENT).await;
        self.freeze_agent().await
    }

    async fn thaw(&self) -> anyhow::Result<()> {
        self.containerd.write().await.process().thaw()?;
        self.thaw_agent().await
    }

    fn fill_disk(&self, full: bool) -> anyhow::Result<()> {
        match &self.disk {
            Some(disk) if full => disk.fill(),
            Some(disk) => disk.free(),
            None => anyhow::bail!("its disk is the machine's"),
        }
    }
}
