//! Dropping unfinished downloads from containerd's store.

use std::time::Duration;

use containerd_client::{
    services::v1::{AbortRequest, ListStatusesRequest, content_client::ContentClient},
    tonic::{Code, transport::Channel},
};
use onepull_mirror::Digest;

use super::{
    ContainerdError,
    namespace::{answer, in_namespace},
};

/// Nobody waits for an abort but the retry of a pull that already failed.
const DEADLINE: Duration = Duration::from_secs(5);

/// Drops every ingest of `digest`, whatever its role: CRI names them `layer-sha256:…`,
/// `manifest-sha256:…`, `config-sha256:…` and `index-sha256:…`. None at all is fine.
pub(super) async fn abort(channel: Channel, digest: &Digest) -> Result<(), ContainerdError> {
    let mut client = ContentClient::new(channel);
    let call = client.list_statuses(in_namespace(ListStatusesRequest::default()));
    let ingests = answer("list its ingests", DEADLINE, call).await?.statuses;
    let name = digest.to_string();
    for ingest in ingests.into_iter().filter(|ingest| ingest.r#ref.ends_with(&name)) {
        let call = client.abort(in_namespace(AbortRequest { r#ref: ingest.r#ref }));
        match answer("abort an ingest", DEADLINE, call).await {
            Err(ContainerdError::Call { source, .. }) if source.code() == Code::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}
