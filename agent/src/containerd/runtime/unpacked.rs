//! Whether an image can be run at once: CRI lists those that were never unpacked too.

use std::time::Duration;

use containerd_client::{
    services::v1::{InfoRequest, content_client::ContentClient},
    tonic::{Code, transport::Channel},
};

use crate::containerd::{
    ContainerdError,
    namespace::{answer, in_namespace},
};

/// One entry of containerd's database.
const DEADLINE: Duration = Duration::from_secs(5);

/// Unpacking ends with this label on the config: it keeps the last layer's snapshot, and with it all
/// below, from being collected. The snapshotter's name follows.
const SNAPSHOT: &str = "containerd.io/gc.ref.snapshot.";

/// Whether the image with this config has been unpacked.
pub(super) async fn is_unpacked(channel: Channel, config: &str) -> Result<bool, ContainerdError> {
    let mut client = ContentClient::new(channel);
    let request = in_namespace(InfoRequest { digest: config.to_owned() });
    match answer("look up a config", DEADLINE, client.info(request)).await {
        Ok(found) => {
            let labels = found.info.into_iter().flat_map(|info| info.labels.into_keys());
            Ok(labels.into_iter().any(|label| label.starts_with(SNAPSHOT)))
        }
        Err(error) if error.code() == Some(Code::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}
