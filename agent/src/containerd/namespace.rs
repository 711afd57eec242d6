//! Calls in the namespace of the kubelet's images, each with a deadline.

use std::{future::Future, time::Duration};

use containerd_client::tonic::{Request, Response, Status, metadata::MetadataValue};
use tokio::time::timeout;

use super::ContainerdError;

/// The namespace in which CRI keeps images. Content of other namespaces is not served.
pub const NAMESPACE: &str = "k8s.io";

/// A request in [`NAMESPACE`].
pub(super) fn in_namespace<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let namespace = MetadataValue::from_static(NAMESPACE);
    request.metadata_mut().insert("containerd-namespace", namespace);
    request
}

/// Waits for the answer of a call at most `deadline`. `step` completes "containerd could not …".
pub(super) async fn answer<T>(
    step: &'static str,
    deadline: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, ContainerdError> {
    match timeout(deadline, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(ContainerdError::call(step, status)),
        Err(_) => Err(ContainerdError::TimedOut { step }),
    }
}
