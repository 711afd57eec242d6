//! How the store stands with containerd right now.

use std::path::PathBuf;

use containerd_client::tonic::transport::Channel;

use super::version::Version;

/// The state of the link, owned by the follower and read by every request.
#[derive(Clone, Debug, Default)]
pub(super) enum Link {
    /// containerd has not answered yet. Next: `Up`.
    #[default]
    Waiting,
    /// Connected and listed once; events are followed. Next: `Down`.
    Up(Session),
    /// containerd went away. What was listed is still on disk and still served. Next: `Up`.
    Down(Session),
}

/// What one start of containerd gave us.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    /// The content folder.
    pub(super) root: PathBuf,
    /// What it is, where it says so.
    pub(super) version: Option<Version>,
}

// === impl Link ===

impl Link {
    /// The present session, or the last one.
    pub(super) fn session(&self) -> Option<&Session> {
        match self {
            Self::Waiting => None,
            Self::Up(session) | Self::Down(session) => Some(session),
        }
    }

    /// Follows the loss of the connection.
    pub(super) fn lose(&mut self) -> bool {
        let Self::Up(session) = self else { return false };
        *self = Self::Down(session.clone());
        true
    }
}
