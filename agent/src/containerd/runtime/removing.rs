//! Taking names of images away through containerd's own API: CRI's removal takes all names of an
//! image at once, also those that somebody else gave it.

use std::time::Duration;

use containerd_client::{
    services::v1::{DeleteImageRequest, ListImagesRequest, images_client::ImagesClient},
    tonic::{Code, transport::Channel},
};
use onepull_mirror::Digest;

use super::usage::is_used;
use crate::{
    containerd::{
        ContainerdError,
        namespace::{answer, in_namespace},
    },
    runtime::Removal,
};

/// A listing of some hundred images, or an entry of containerd's database and its sync to the disk.
const DEADLINE: Duration = Duration::from_secs(5);

/// CRI names each image by its config too; such a name goes with the last one that a person gave.
const BY_CONFIG: &str = "sha256:";

/// Removes those of `names`, in full, that stand for `digest`; returns which, too.
pub(super) async fn remove(
    channel: &Channel,
    names: &[String],
    digest: &Digest,
) -> Result<(Removal, Vec<String>), ContainerdError> {
    let standing = standing_for(channel, digest).await?;
    let (unwanted, left): (Vec<_>, Vec<_>) =
        standing.iter().cloned().partition(|name| names.contains(name));
    if unwanted.is_empty() {
        return Ok((Removal::Gone, unwanted));
    }
    if is_used(channel, &standing).await? {
        return Ok((Removal::InUse, Vec::new()));
    }
    for name in &unwanted {
        delete(channel, name).await?;
    }
    if left.iter().all(|name| name.starts_with(BY_CONFIG)) {
        for name in &left {
            delete(channel, name).await?;
        }
    }
    Ok((Removal::Gone, unwanted))
}

/// All names of a digest.
async fn standing_for(channel: &Channel, digest: &Digest) -> Result<Vec<String>, ContainerdError> {
    let filters = vec![format!("target.digest==\"{digest}\"")];
    let mut images = ImagesClient::new(channel.clone());
    let request = in_namespace(ListImagesRequest { filters });
    let listed = answer("list its images", DEADLINE, images.list(request)).await?;
    Ok(listed.images.into_iter().map(|image| image.name).collect())
}

async fn delete(channel: &Channel, name: &str) -> Result<(), ContainerdError> {
    let mut images = ImagesClient::new(channel.clone());
    let request = DeleteImageRequest { name: name.to_owned(), ..Default::default() };
    match answer("take a name away", DEADLINE, images.delete(in_namespace(request))).await {
        Err(error) if error.code() != Some(Code::NotFound) => Err(error),
        _ => Ok(()),
    }
}
