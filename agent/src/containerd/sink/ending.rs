//! What containerd's refusals mean to who writes. The only place that knows its words.
//!
//! Seen on 1.6.20 and 2.2.9: see ADR 9.

use containerd_client::tonic::Code;
use onepull_mirror::{Digest, sink::SinkError};

use crate::containerd::ContainerdError;

/// Why a blob could not be opened.
pub(super) fn unopened(digest: Digest, error: ContainerdError) -> SinkError {
    match error.code() {
        Some(Code::AlreadyExists) => SinkError::Complete(digest),
        Some(Code::Unavailable) if is_locked(&error) => SinkError::Busy(digest),
        _ => refused(digest, error),
    }
}

/// Whether a commit failed because the bytes, or their number, are not the blob's.
pub(super) fn is_mismatch(error: &ContainerdError) -> bool {
    matches!(error.code(), Some(Code::FailedPrecondition | Code::InvalidArgument))
}

/// Any other reason.
pub(super) fn refused(digest: Digest, error: ContainerdError) -> SinkError {
    SinkError::Refused { digest, reason: error.with_cause() }
}

/// A containerd that is down is "unavailable" too.
fn is_locked(error: &ContainerdError) -> bool {
    matches!(error, ContainerdError::Call { source, .. } if source.message().contains("locked"))
}

#[cfg(test)]
mod tests {
    use containerd_client::tonic::Status;

    use super::*;

    fn opened(status: Status) -> SinkError {
        unopened(Digest::sha256(b"x"), ContainerdError::call("open a blob for writing", status))
    }

    #[test]
    fn a_locked_name_is_busy_and_a_containerd_that_is_down_is_not() {
        let locked = Status::unavailable("ref k8s.io/1/layer-sha256:0 locked for 1ms: unavailable");
        assert!(matches!(opened(locked), SinkError::Busy(_)));
        let down = Status::unavailable("tcp connect error");
        assert!(matches!(opened(down), SinkError::Refused { .. }));
    }

    #[test]
    fn a_refusal_says_what_containerd_said() {
        let full = opened(Status::unknown("no space left on device"));
        assert!(full.to_string().contains("open a blob for writing"), "{full}");
        assert!(full.to_string().contains("no space left on device"), "{full}");
    }
}
