//! Whether containers use an image, as the kubelet counts it: also those that have ended, since they
//! may be started again.

use std::time::Duration;

use containerd_client::{
    services::v1::{ListContainersRequest, containers_client::ContainersClient},
    tonic::transport::Channel,
};
use k8s_cri::v1::{self, runtime_service_client::RuntimeServiceClient};

use crate::containerd::{
    ContainerdError,
    namespace::{answer, in_namespace},
};

/// Some hundred containers, from memory or from containerd's database.
const DEADLINE: Duration = Duration::from_secs(5);

/// The most that containerd sends in one message. Each container comes with all of its specification, some 20 KiB,
/// so 200 of them are more than the 4 MiB that a client takes by default.
const LARGEST: usize = 16 << 20;

/// Whether a container was made of the image that has these names, by CRI or past it.
pub(super) async fn is_used(channel: &Channel, names: &[String]) -> Result<bool, ContainerdError> {
    let is_named = |name: &str| names.iter().any(|own| own == name);
    let mut cri = RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(LARGEST);
    let all = v1::ListContainersRequest::default();
    let listed = answer("list its containers", DEADLINE, cri.list_containers(all)).await?;
    let uses = |it: &v1::Container| {
        is_named(&it.image_ref)
            || is_named(&it.image_id)
            || it.image.as_ref().is_some_and(|spec| is_named(&spec.image))
    };
    if listed.containers.iter().any(uses) {
        return Ok(true);
    }
    let mut own = ContainersClient::new(channel.clone()).max_decoding_message_size(LARGEST);
    let filters = names.iter().map(|name| format!("image=={name:?}")).collect();
    let of_image = in_namespace(ListContainersRequest { filters });
    let listed = answer("list its containers", DEADLINE, own.list(of_image)).await?;
    Ok(listed.containers.iter().any(|container| is_named(&container.image)))
}
