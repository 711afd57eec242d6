//! Asking containerd what is complete: everything, or one blob.

use std::{collections::BTreeMap, time::Duration};

use containerd_client::{
    services::v1::{Info, InfoRequest, ListContentRequest, content_client::ContentClient},
    tonic::{Code, Status, transport::Channel},
};
use onepull_mirror::Digest;
use tokio::time::timeout;

use super::{
    ContainerdError,
    namespace::{answer, in_namespace},
};

/// Complete blobs and their sizes in bytes.
pub(super) type Blobs = BTreeMap<Digest, u64>;

/// 100,000 blobs take about a second; beyond this containerd hangs, and the link is made anew.
const LIST_DEADLINE: Duration = Duration::from_secs(30);

/// A pull waits for this answer, which takes about a millisecond from containerd's database. A
/// miss costs the pull less than waiting any longer for a containerd that is busy.
const INFO_DEADLINE: Duration = Duration::from_millis(250);

/// All complete blobs of the namespace and their sizes in bytes.
pub(super) async fn list(channel: Channel) -> Result<Blobs, ContainerdError> {
    const STEP: &str = "list its content";
    match timeout(LIST_DEADLINE, collect(channel)).await {
        Ok(listed) => listed.map_err(|status| ContainerdError::call(STEP, status)),
        Err(_) => Err(ContainerdError::TimedOut { step: STEP }),
    }
}

async fn collect(channel: Channel) -> Result<Blobs, Status> {
    let mut client = ContentClient::new(channel);
    let request = in_namespace(ListContentRequest::default());
    let mut answers = client.list(request).await?.into_inner();
    let mut blobs = Blobs::new();
    while let Some(answer) = answers.message().await? {
        blobs.extend(answer.info.into_iter().filter_map(entry));
    }
    Ok(blobs)
}

/// The size in bytes of one complete blob of the namespace; `None` when it is not there.
pub(super) async fn size(
    channel: Channel,
    digest: &Digest,
) -> Result<Option<u64>, ContainerdError> {
    let mut client = ContentClient::new(channel);
    let call = client.info(in_namespace(InfoRequest { digest: digest.to_string() }));
    match answer("look up a blob", INFO_DEADLINE, call).await {
        Ok(found) => Ok(found.info.and_then(entry).map(|(_, size)| size)),
        Err(ContainerdError::Call { source, .. }) if source.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Blobs under an algorithm that OCI does not register can never be asked for.
fn entry(info: Info) -> Option<(Digest, u64)> {
    Some((info.digest.parse().ok()?, u64::try_from(info.size).ok()?))
}
