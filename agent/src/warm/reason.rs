//! Obstacles in the closed list of reasons that a node reports.
//!
//! A runtime says in prose why a pull failed; the words below are those of containerd 1.6 to 2.2 and of
//! the registries behind it. What is not among them is the runtime's failure, and its words go along.

use onepull_api::NodeReason;
use onepull_mirror::{sink::SinkError, warm::WarmError};

use super::obstacle::Obstacle;
use crate::runtime::RuntimeError;

/// What is said, and what it means; the first that matches counts. A full disk comes first, since
/// it makes the rest fail; "not found" late, since registries say it beside what they refuse.
const SAID: &[(NodeReason, &[&str])] = &[
    (NodeReason::DiskFull, &["no space left on device", "disk quota exceeded"]),
    (NodeReason::RateLimited, &["429", "too many requests", "toomanyrequests"]),
    (
        NodeReason::CredentialRefused,
        &["401", "403", "unauthorized", "forbidden", "authorization failed", "access denied"],
    ),
    (NodeReason::ContentMismatch, &["unexpected commit digest", "unexpected commit size"]),
    (NodeReason::ImageNotFound, &["not found", "manifest unknown", "name unknown"]),
    (
        NodeReason::RegistryUnreachable,
        &[
            "connection refused",
            "connection reset",
            "no such host",
            "no route to host",
            "network is unreachable",
            "i/o timeout",
            "tls:",
            "tls handshake",
            "x509:",
            "unexpected status",
            "unexpected eof",
        ],
    ),
    (NodeReason::PullStalled, &["context canceled", "deadline exceeded"]),
];

// === impl Obstacle ===

impl Obstacle {
    /// Which of the reasons it is.
    pub(crate) fn reason(&self) -> NodeReason {
        match self {
            Self::NeedsUpstream(_) => NodeReason::NoPeerHasIt,
            Self::NoLogin { .. } => NodeReason::CredentialMissing,
            Self::Runtime(error) => of_runtime(error),
            Self::Sink(SinkError::Mismatch(_)) | Self::Peers(WarmError::Mismatch(_)) => {
                NodeReason::ContentMismatch
            }
            Self::Sink(SinkError::Refused { reason, .. }) => of_disk(reason),
            Self::Peers(WarmError::NoSource(_)) => NodeReason::PullStalled,
            Self::Sink(_) | Self::NotListed(_) => NodeReason::RuntimeFailed,
            Self::Peers(WarmError::TooLarge(_))
            | Self::NoManifest(_)
            | Self::TooManyLayers(..)
            | Self::NoPlatform { .. } => NodeReason::Unknown,
        }
    }
}

fn of_runtime(error: &RuntimeError) -> NodeReason {
    match error {
        RuntimeError::Pull { reason, .. } => of_pull(reason),
        RuntimeError::Unavailable { reason, .. } => of_disk(reason),
    }
}

fn of_pull(said: &str) -> NodeReason {
    let said = said.to_lowercase();
    let meant = SAID.iter().find(|(_, words)| words.iter().any(|word| says(&said, word)));
    meant.map_or(NodeReason::RuntimeFailed, |(reason, _)| *reason)
}

/// Digits count only by themselves: a digest may have any three in a row.
fn says(said: &str, word: &str) -> bool {
    match word.bytes().all(|byte| byte.is_ascii_digit()) {
        true => said.split_whitespace().any(|part| part == word),
        false => said.contains(word),
    }
}

/// The runtime's own doing: it is out of space, or broken.
fn of_disk(said: &str) -> NodeReason {
    match of_pull(said) {
        NodeReason::DiskFull => NodeReason::DiskFull,
        _ => NodeReason::RuntimeFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_containerd_and_of_registries_are_understood() {
        const PULL: &str = "failed to pull and unpack image \"r.example/a@sha256:4290\": ";
        for (said, meant) in [
            (
                "failed to resolve image: r.example/a@sha256:4290: not found",
                NodeReason::ImageNotFound,
            ),
            (
                "pull access denied, repository does not exist or may require authorization: \
                 server message: insufficient_scope: authorization failed",
                NodeReason::CredentialRefused,
            ),
            (
                "failed to authorize: failed to fetch anonymous token: unexpected status from GET \
                 request to https://r.example/token: 401 Unauthorized",
                NodeReason::CredentialRefused,
            ),
            (
                "unexpected status from HEAD request to https://r.example/v2/a: 429 Too Many Requests",
                NodeReason::RateLimited,
            ),
            (
                "unexpected status from HEAD request to https://r.example/v2/a: 503 Service Unavailable",
                NodeReason::RegistryUnreachable,
            ),
            (
                "failed to do request: Head \"https://r.example/v2/a\": dial tcp 10.0.0.1:443: connect: \
                 connection refused",
                NodeReason::RegistryUnreachable,
            ),
            ("write /var/lib/containerd/x/data: no space left on device", NodeReason::DiskFull),
            (
                "unexpected commit digest sha256:1, expected sha256:2: failed precondition",
                NodeReason::ContentMismatch,
            ),
            ("context canceled", NodeReason::PullStalled),
            ("failed to extract layer: exit status 1", NodeReason::RuntimeFailed),
        ] {
            assert_eq!(of_pull(&format!("{PULL}{said}")), meant, "{said}");
        }
    }

    #[test]
    fn what_the_runtime_refuses_is_its_failure_unless_the_disk_is_full() {
        let refused = |reason: &str| {
            let error = RuntimeError::Unavailable { step: "list", reason: reason.into() };
            Obstacle::from(error).reason()
        };
        assert_eq!(refused("containerd.sock: connection refused"), NodeReason::RuntimeFailed);
        assert_eq!(refused("no space left on device"), NodeReason::DiskFull);
    }
}
