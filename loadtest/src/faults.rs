//! What goes wrong in the middle of a storm, and what that may cost.
//!
//! Every fault has a storm of its own, on nodes that start empty, beside an undisturbed one of the
//! same size. It strikes when its victim has about half the image. Once every other node is done it
//! is lifted, and the victim pulls again as the kubelet would. See [`storm`] for the order of things
//! and [`verdict`] for the limits.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

mod attempts;
pub mod bystander;
mod eye;
pub mod html;
mod outcome;
pub mod storm;
pub mod table;
pub mod verdict;

pub use attempts::Pull;
pub use outcome::FaultRun;
pub use verdict::Verdict;

#[cfg(test)]
pub(crate) use outcome::testing;

/// One way for something to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The agent of the node that takes most from the registry dies (SIGKILL), and stays dead.
    KillLead,
    /// The agent of a node that others stream from dies (SIGKILL), and stays dead.
    KillFollower,
    /// The containerd of the lead dies (SIGKILL); it comes back once the others are done.
    KillContainerd,
    /// The agent of a node that others stream from stops answering (SIGSTOP).
    StallParent,
    /// One byte of the largest layer is wrong on one of two nodes that have the image; the others
    /// storm.
    CorruptByte,
    /// Each half of the nodes loses all DHT packets of the other half.
    PartitionDht,
    /// The link of a node that others stream from drops to a tenth.
    SlowNode,
    /// The containerd of a node that others stream from is stopped and started again at once.
    RestartContainerd,
    /// The disk of the last node fills up.
    FullDisk,
    /// The lead's cable is pulled: no packet says that it is gone.
    PowerOff,
    /// The lead's containerd freezes (SIGSTOP), then its agent; another node pulls a small image
    /// meanwhile.
    FrozenLead,
}

/// Who it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The node that takes most from the registry at that moment.
    Lead,
    /// The node that gives most to others, and does not lead.
    Follower,
    /// The last node, which has been prepared for it.
    Last,
    /// The first node, which pulled before the storm and has no part in it.
    Holder,
    /// No node in particular.
    Nobody,
}

// === impl Fault ===

impl Fault {
    /// All of them, in the order in which `all` runs them.
    pub const ALL: [Self; 11] = [
        Self::KillLead,
        Self::KillFollower,
        Self::KillContainerd,
        Self::StallParent,
        Self::CorruptByte,
        Self::PartitionDht,
        Self::SlowNode,
        Self::RestartContainerd,
        Self::FullDisk,
        Self::PowerOff,
        Self::FrozenLead,
    ];

    /// Its name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillLead => "kill-lead",
            Self::KillFollower => "kill-follower",
            Self::KillContainerd => "kill-containerd",
            Self::StallParent => "stall-parent",
            Self::CorruptByte => "corrupt-byte",
            Self::PartitionDht => "partition-dht",
            Self::SlowNode => "slow-node",
            Self::RestartContainerd => "restart-containerd",
            Self::FullDisk => "full-disk",
            Self::PowerOff => "power-off",
            Self::FrozenLead => "frozen-lead",
        }
    }

    /// Who it strikes.
    pub fn victim(self) -> Victim {
        match self {
            Self::KillLead | Self::KillContainerd | Self::PowerOff | Self::FrozenLead => {
                Victim::Lead
            }
            Self::KillFollower | Self::StallParent | Self::SlowNode | Self::RestartContainerd => {
                Victim::Follower
            }
            Self::FullDisk => Victim::Last,
            Self::CorruptByte => Victim::Holder,
            Self::PartitionDht => Victim::Nobody,
        }
    }

    /// How many nodes, the first ones, have the image before the storm.
    pub fn holders(self) -> usize {
        match self.victim() {
            Victim::Holder => 2,
            _ => 0,
        }
    }

    /// Whether nothing but an agent dies: containerd then goes on from the registry by itself.
    pub fn kills_an_agent(self) -> bool {
        matches!(self, Self::KillLead | Self::KillFollower)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_part_of_all_and_has_one_name_everywhere() {
        assert_eq!(Fault::value_variants(), Fault::ALL);
        for fault in Fault::ALL {
            let flag = fault.to_possible_value().unwrap();
            assert_eq!(flag.get_name(), fault.as_str());
            let json = serde_json::to_string(&fault).unwrap();
            assert_eq!(json, format!("{:?}", fault.as_str()));
        }
    }
}
