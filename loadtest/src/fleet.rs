//! The seam to the nodes of a run: what a pattern may do with them, whatever they are made of.

use async_trait::async_trait;
use thiserror::Error;

use crate::report::Flow;

pub mod containerd;
pub mod embedded;
mod steered;

pub use steered::Steered;

/// Nodes that can pull the image under test, and the registry behind them.
///
/// One fleet serves one run; its nodes start without the image.
#[async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// The nodes' names, in the order of their indices.
    fn names(&self) -> Vec<String>;

    /// Pulls the image on one node.
    ///
    /// # Errors
    /// When the pull failed.
    async fn pull(&self, node: usize) -> Result<(), FleetError>;

    /// Returns once other nodes can find what `node` holds; at once where nothing is shared.
    ///
    /// # Errors
    /// When that does not happen in time.
    async fn findable(&self, node: usize) -> Result<(), FleetError>;

    /// The way to tell nodes what to hold; `None` where they can only pull.
    fn steered(&self) -> Option<&dyn Steered> {
        None
    }

    /// What moved so far. Cheap: it is asked many times a second.
    fn meter(&self) -> Meter;

    /// Stops what serves, and takes stock: who served whom, and whether the image is complete on
    /// every node.
    ///
    /// # Errors
    /// When an account is lost. What a node lacks is part of the account.
    async fn finish(&self) -> Result<Account, FleetError>;
}

/// What is found out after the last pull.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Who sent how much to whom.
    pub flows: Vec<Flow>,
    /// For each node what it lacks of the image; `None` when it has all of it, byte for byte.
    pub lacking: Vec<Option<String>>,
}

/// Bytes moved since the fleet started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Sent by the registry (by all registries, where each node has its own): image bytes where
    /// the registry counts them itself, bytes on the wire where an interface counts.
    pub egress: u64,
    /// Sent by the registry, headers and all.
    pub egress_wire: u64,
    /// Received by each node.
    pub received: Vec<u64>,
}

/// Why a fleet could not do what it was asked.
#[derive(Debug, Error)]
pub enum FleetError {
    /// A part of the fleet could not be set up or stopped.
    #[error("cannot {step}")]
    Setup {
        /// What was being done.
        step: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A node's pull failed.
    #[error("{node} could not pull the image")]
    Pull {
        /// Which node.
        node: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something did not happen in time.
    #[error("{what} within {seconds} s")]
    Late {
        /// What was waited for, as in "node-1 did not announce its blobs".
        what: String,
        /// How long.
        seconds: u64,
    },
}

// === impl FleetError ===

impl FleetError {
    /// For `map_err`: what failed while doing `step`.
    pub fn setup<E>(step: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let step = step.into();
        move |source| Self::Setup { step, source: source.into() }
    }

    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |e| e.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}
