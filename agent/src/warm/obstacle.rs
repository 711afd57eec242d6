//! Why an image is not held yet.

use onepull_mirror::{Digest, sink::SinkError, warm::WarmError};
use thiserror::Error;

use super::{contents::TooManyLayers, ledger::State};
use crate::runtime::RuntimeError;

/// What stands between a node and an image.
#[derive(Debug, Error)]
pub(crate) enum Obstacle {
    #[error("no other node has {0}, and this one is not to ask the registry for it")]
    NeedsUpstream(Digest),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("{refused}; {problem}")]
    NoLogin { refused: RuntimeError, problem: String },
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Peers(#[from] WarmError),
    #[error("{0} is neither an image's manifest nor an index")]
    NoManifest(Digest),
    #[error("the manifest {0} is not used: {1}")]
    TooManyLayers(Digest, TooManyLayers),
    #[error("the index {index} has no image for linux/{architecture}")]
    NoPlatform { index: Digest, architecture: &'static str },
    #[error("the runtime says that it pulled {0}, and does not list it")]
    NotListed(String),
}

// === impl Obstacle ===

impl From<Obstacle> for State {
    fn from(obstacle: Obstacle) -> Self {
        let (reason, sentence) = (obstacle.reason(), obstacle.to_string());
        match obstacle {
            Obstacle::NeedsUpstream(_) => Self::NeedsUpstream(sentence),
            _ => Self::Failed(reason, sentence),
        }
    }
}
