//! What can go wrong with an image, at the registry or on a node.

use std::{fmt, sync::Arc};

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of thing.
    pub kind: TroubleKind,
    /// What a person should know, in a sentence.
    pub message: Arc<str>,
}

/// The kinds of things that go wrong. The list is closed: conditions and dashboards match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TroubleKind {
    /// The registry knows no such image.
    ImageNotFound,
    /// The registry refused the credential, or wants one.
    CredentialRefused,
    /// No credential could be had for the pull.
    CredentialMissing,
    /// The registry asks to wait.
    RateLimited,
    /// The registry does not answer.
    RegistryUnreachable,
    /// Nothing has come for a while.
    PullStalled,
    /// What came is not what the digest says.
    ContentMismatch,
    /// The node's disk is full.
    DiskFull,
    /// The container runtime does not answer, or not as expected.
    RuntimeFailed,
    /// Something else; the message says what.
    Unknown,
}

// === impl Trouble ===

impl Trouble {
    /// This kind of thing, in these words.
    pub fn new(kind: TroubleKind, message: &str) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// === impl TroubleKind ===

impl TroubleKind {
    /// What to say when nobody said more.
    pub fn words(self) -> &'static str {
        match self {
            Self::ImageNotFound => "the registry has no such image",
            Self::CredentialRefused => "the registry refused the credential, or wants one",
            Self::CredentialMissing => "no credential could be had for the pull",
            Self::RateLimited => "the registry asks to wait",
            Self::RegistryUnreachable => "the registry does not answer",
            Self::PullStalled => "nothing has come for a while",
            Self::ContentMismatch => "what came is not what the digest says",
            Self::DiskFull => "the node's disk is full",
            Self::RuntimeFailed => "the container runtime does not answer, or not as expected",
            Self::Unknown => "something went wrong, and nobody said what",
        }
    }

    /// As in conditions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageNotFound => "ImageNotFound",
            Self::CredentialRefused => "CredentialRefused",
            Self::CredentialMissing => "CredentialMissing",
            Self::RateLimited => "RateLimited",
            Self::RegistryUnreachable => "RegistryUnreachable",
            Self::PullStalled => "PullStalled",
            Self::ContentMismatch => "ContentMismatch",
            Self::DiskFull => "DiskFull",
            Self::RuntimeFailed => "RuntimeFailed",
            Self::Unknown => "Unknown",
        }
    }
}
