//! What is compared with what.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One way for the nodes to get the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// Every node pulls from the one registry; nothing is shared.
    Direct,
    /// Every node pulls from a registry of its own: what this machine allows at best.
    Ideal,
    /// Every node runs Spegel, to compare with.
    Spegel,
    /// Every node runs the agent, and pulls through its mirror.
    Onepull,
}

// === impl Arm ===

impl Arm {
    /// Its name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ideal => "ideal",
            Self::Spegel => "spegel",
            Self::Onepull => "onepull",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
