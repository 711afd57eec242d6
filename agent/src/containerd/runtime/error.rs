//! Failures of a runtime in the words of its seam.

use std::error::Error;

use containerd_client::tonic::Status;

use crate::{containerd::ContainerdError, runtime::RuntimeError};

/// It does not answer, or refused.
pub(super) fn unavailable(step: &'static str, error: ContainerdError) -> RuntimeError {
    RuntimeError::Unavailable { step, reason: error.with_cause() }
}

/// A pull that failed. What the runtime answered has no cause here; a connection that broke has.
pub(super) fn failed(image: String, status: &Status) -> RuntimeError {
    let reason = status.message().to_owned();
    match status.source() {
        Some(_) => RuntimeError::Unavailable { step: "pull an image", reason },
        None => RuntimeError::Pull { image, reason },
    }
}
