//! CRI as the kubelet uses it: the calls about images, and the runtime's status.

use std::collections::HashMap;

use anyhow::{Context, Result};
use k8s_cri::v1::{
    Image, ImageSpec, ImageStatusRequest, ListImagesRequest, PullImageRequest, RemoveImageRequest,
    StatusRequest, VersionRequest, image_service_client::ImageServiceClient,
    runtime_service_client::RuntimeServiceClient,
};
use tonic::transport::Channel;

/// A client of one containerd's CRI.
#[derive(Clone, Debug)]
pub struct Cri {
    images: ImageServiceClient<Channel>,
    runtime: RuntimeServiceClient<Channel>,
}

// === impl Cri ===

impl Cri {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            images: ImageServiceClient::new(channel.clone()),
            runtime: RuntimeServiceClient::new(channel),
        }
    }

    /// Pulls and unpacks an image, `host/repo:tag` or `host/repo@digest`; returns its id.
    ///
    /// There is no deadline, as the kubelet sets none that a large image could meet.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn pull(&mut self, image: &str) -> Result<String> {
        let request = PullImageRequest { image: spec(image), ..Default::default() };
        let answer = self.images.pull_image(request).await;
        let answer = answer.with_context(|| format!("cannot pull {image}"))?;
        Ok(answer.into_inner().image_ref)
    }

    /// What CRI knows about an image; `None` when it is not present.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn image_status(&mut self, image: &str) -> Result<Option<Image>> {
        let request = ImageStatusRequest { image: spec(image), verbose: false };
        Ok(self.images.image_status(request).await?.into_inner().image)
    }

    /// All images.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn list(&mut self) -> Result<Vec<Image>> {
        let request = ListImagesRequest { filter: None };
        Ok(self.images.list_images(request).await?.into_inner().images)
    }

    /// Removes an image with all its refs; one that is not there is not an error.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn remove(&mut self, image: &str) -> Result<()> {
        self.images.remove_image(RemoveImageRequest { image: spec(image) }).await?;
        Ok(())
    }

    /// The verbose status: texts by name, `config` among them as JSON.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn status(&mut self) -> Result<HashMap<String, String>> {
        Ok(self.runtime.status(StatusRequest { verbose: true }).await?.into_inner().info)
    }

    /// The runtime's version, for example `1.6.20~ds1`.
    ///
    /// # Errors
    /// What containerd said.
    pub async fn runtime_version(&mut self) -> Result<String> {
        let answer = self.runtime.version(VersionRequest::default()).await?;
        Ok(answer.into_inner().runtime_version)
    }
}

fn spec(image: &str) -> Option<ImageSpec> {
    Some(ImageSpec { image: image.to_owned(), ..Default::default() })
}
