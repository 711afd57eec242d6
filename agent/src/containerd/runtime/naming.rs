//! Names of images in containerd's own API, which CRI adopts.

use std::time::Duration;

use containerd_client::{
    services::v1::{
        CreateImageRequest, GetImageRequest, Image, UpdateImageRequest, images_client::ImagesClient,
    },
    tonic::{Code, Status, transport::Channel},
    types::Descriptor,
};
use onepull_mirror::Digest;
use prost_types::FieldMask;

use super::name::repository;
use crate::containerd::{
    ContainerdError,
    namespace::{answer, in_namespace},
};

/// An entry of containerd's database, and its sync to the disk.
const DEADLINE: Duration = Duration::from_secs(5);

/// By this label CRI knows its own images.
const MANAGED: (&str, &str) = ("io.cri-containerd.image", "managed");

/// The digest that a name in full points to.
pub(super) async fn target(
    channel: Channel,
    name: &str,
) -> Result<Option<Digest>, ContainerdError> {
    let image = get(&mut ImagesClient::new(channel), name).await?;
    let target = image.and_then(|image| image.target);
    Ok(target.and_then(|target| target.digest.parse().ok()))
}

/// Lets a name in full point to a digest that was pulled from the same repository.
pub(super) async fn name(
    channel: Channel,
    name: &str,
    digest: &Digest,
) -> Result<(), ContainerdError> {
    let mut images = ImagesClient::new(channel);
    let pulled = format!("{}@{digest}", repository(name));
    let missing = || ContainerdError::call("find an image", Status::not_found(pulled.clone()));
    let target = get(&mut images, &pulled).await?.and_then(|image| image.target);
    let image = named(name, target.ok_or_else(missing)?);
    let request =
        in_namespace(CreateImageRequest { image: Some(image.clone()), ..Default::default() });
    match answer("add a name", DEADLINE, images.create(request)).await {
        Err(error) if error.code() == Some(Code::AlreadyExists) => point(&mut images, image).await,
        created => created.map(drop),
    }
}

/// Points a name that is there to another image, as CRI does when a tag has moved.
async fn point(images: &mut ImagesClient<Channel>, image: Image) -> Result<(), ContainerdError> {
    let old = get(images, &image.name).await?;
    if old.is_some_and(|old| old.target == image.target && is_managed(&old)) {
        return Ok(());
    }
    let paths = vec!["target".to_owned(), format!("labels.{}", MANAGED.0)];
    let update_mask = Some(FieldMask { paths });
    let request = UpdateImageRequest { image: Some(image), update_mask, ..Default::default() };
    answer("move a name", DEADLINE, images.update(in_namespace(request))).await.map(drop)
}

async fn get(
    images: &mut ImagesClient<Channel>,
    name: &str,
) -> Result<Option<Image>, ContainerdError> {
    let request = in_namespace(GetImageRequest { name: name.to_owned() });
    match answer("look up a name", DEADLINE, images.get(request)).await {
        Ok(found) => Ok(found.image),
        Err(error) if error.code() == Some(Code::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn named(name: &str, target: Descriptor) -> Image {
    let (key, value) = MANAGED;
    let labels = [(key.to_owned(), value.to_owned())].into();
    Image { name: name.to_owned(), labels, target: Some(target), ..Default::default() }
}

fn is_managed(image: &Image) -> bool {
    image.labels.get(MANAGED.0).is_some_and(|value| value == MANAGED.1)
}
