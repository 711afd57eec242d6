//! The runtime seam over a real containerd: CRI for what the kubelet does and sees, containerd's own
//! API for names. Releases 1.6 to 2.2.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use containerd_client::tonic::transport::Channel;
use k8s_cri::v1::{
    Image, ImageSpec, ImageStatusRequest, PullImageRequest,
    image_service_client::ImageServiceClient,
};
use onepull_mirror::Digest;
use onepull_resolve::Login;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::{ContainerdError, lease::Lease, namespace::answer, wire::Wire};
use crate::runtime::{Removal, Runtime, RuntimeError, Unpack};

mod auth;
mod error;
mod name;
mod naming;
mod removing;
mod unpacked;
mod unpacking;
mod usage;

use error::{failed, unavailable};
use name::normal;

/// CRI answers from memory.
const STATUS: Duration = Duration::from_secs(5);

/// CRI learns of a new name by an event of its own, within milliseconds.
const ADOPTED: Duration = Duration::from_secs(10);

/// Between two questions whether it has.
const PAUSE: Duration = Duration::from_millis(20);

/// containerd and its CRI, on one socket.
#[derive(Debug)]
pub struct ContainerdRuntime {
    wire: Wire,
}

// === impl ContainerdRuntime ===

impl ContainerdRuntime {
    /// Drives the containerd that listens on `socket`, from when it is first needed.
    pub fn new(socket: &Path) -> Self {
        Self { wire: Wire::new(socket) }
    }

    async fn channel(&self, step: &'static str) -> Result<Channel, RuntimeError> {
        self.wire.channel().await.map_err(|error| unavailable(step, error))
    }
}

#[async_trait]
impl Runtime for ContainerdRuntime {
    async fn pull(
        &self,
        repository: &str,
        digest: &Digest,
        login: Option<&Login>,
    ) -> Result<(), RuntimeError> {
        let image = format!("{repository}@{digest}");
        let channel = self.channel("pull an image").await?;
        let auth = login.and_then(|login| auth::config(repository, login));
        let request = PullImageRequest { image: spec(&image), auth, ..Default::default() };
        let pulled = ImageServiceClient::new(channel.clone()).pull_image(request).await;
        pulled.map_err(|status| failed(image, &status))?;
        // What was unpacked ahead is the image's own now.
        if let Err(error) = Lease::of_snapshots(digest).end(channel).await {
            debug!(%digest, %error, "a lease stays");
        }
        Ok(())
    }

    async fn unpack(&self, layer: &Unpack) -> Result<(), RuntimeError> {
        const STEP: &str = "unpack a layer";
        let channel = self.channel(STEP).await?;
        let unpacked = unpacking::unpack(channel, layer).await;
        unpacked.map_err(|error| unavailable(STEP, error))
    }

    async fn find(&self, name: &str) -> Result<Option<Digest>, RuntimeError> {
        const STEP: &str = "tell whether it has an image";
        let channel = self.channel(STEP).await?;
        let found = find(&channel, &normal(name)).await;
        found.map_err(|error| unavailable(STEP, error))
    }

    async fn tag(&self, name: &str, digest: &Digest) -> Result<(), RuntimeError> {
        const STEP: &str = "name an image";
        let channel = self.channel(STEP).await?;
        let name = normal(name);
        let named = async {
            naming::name(channel.clone(), &name, digest).await?;
            adopted(&channel, &name, digest).await
        };
        named.await.map_err(|error| unavailable(STEP, error))
    }

    async fn remove(&self, names: &[String], digest: &Digest) -> Result<Removal, RuntimeError> {
        const STEP: &str = "remove an image";
        let channel = self.channel(STEP).await?;
        let names: Vec<_> = names.iter().map(|name| normal(name)).collect();
        let removed = async {
            let (removal, gone) = removing::remove(&channel, &names, digest).await?;
            for name in gone {
                forgotten(&channel, &name, digest).await?;
            }
            Ok(removal)
        };
        removed.await.map_err(|error| unavailable(STEP, error))
    }
}

/// What CRI lists under a name in full, if it is unpacked.
async fn find(channel: &Channel, name: &str) -> Result<Option<Digest>, ContainerdError> {
    let Some(image) = listed(channel, name).await? else { return Ok(None) };
    if !unpacked::is_unpacked(channel.clone(), &image.id).await? {
        return Ok(None);
    }
    match name.split_once('@') {
        Some((_, digest)) => Ok(digest.parse().ok()),
        None => naming::target(channel.clone(), name).await,
    }
}

/// What CRI lists under a name in full. Asked for a tag, it would also find an image by its id.
async fn listed(channel: &Channel, name: &str) -> Result<Option<Image>, ContainerdError> {
    let request = ImageStatusRequest { image: spec(name), verbose: false };
    let mut client = ImageServiceClient::new(channel.clone());
    let status = answer("tell of an image", STATUS, client.image_status(request)).await?;
    let is_named =
        |image: &Image| image.repo_tags.iter().chain(&image.repo_digests).any(|n| n == name);
    Ok(status.image.filter(is_named))
}

/// Waits until the kubelet would see the new name.
async fn adopted(channel: &Channel, name: &str, digest: &Digest) -> Result<(), ContainerdError> {
    let seen = async {
        while !points_to(listed(channel, name).await?, digest) {
            sleep(PAUSE).await;
        }
        Ok(())
    };
    let late = |_| ContainerdError::TimedOut { step: "show a new name of an image" };
    timeout(ADOPTED, seen).await.map_err(late)?
}

/// Waits until the kubelet would no longer see the name.
async fn forgotten(channel: &Channel, name: &str, digest: &Digest) -> Result<(), ContainerdError> {
    let gone = async {
        while points_to(listed(channel, name).await?, digest) {
            sleep(PAUSE).await;
        }
        Ok(())
    };
    let late = |_| ContainerdError::TimedOut { step: "forget a name of an image" };
    timeout(ADOPTED, gone).await.map_err(late)?
}

/// CRI keeps together what has one config; the other names of a digest tell which image a tag is.
fn points_to(image: Option<Image>, digest: &Digest) -> bool {
    let ending = format!("@{digest}");
    image.is_some_and(|image| image.repo_digests.iter().any(|name| name.ends_with(&ending)))
}

fn spec(image: &str) -> Option<ImageSpec> {
    Some(ImageSpec { image: image.to_owned(), ..Default::default() })
}
