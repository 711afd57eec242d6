//! One containerd in its namespace.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use onepull_testbed::{
    Containerd, Host, Version,
    containerd::{self, SmallDisk},
};
use tokio::{sync::RwLock, time::timeout};

use super::{FleetError, agent::Agent, hosts, origin::Origin, spegel::Spegel};
use crate::{image::Image, origin::TAG};

/// A pull that takes longer has hung; the slowest sensible load test (16 nodes, no sharing, 1 GiB
/// at 50 Mbit/s) takes 46 minutes.
const PULL_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// A node. Fields are in the order in which they have to go.
pub(crate) struct Node {
    pub(crate) name: String,
    /// Started when the node joins.
    pub(crate) agent: OnceLock<Agent>,
    pub(super) spegel: OnceLock<Spegel>,
    /// Held for writing while it is ended and started again.
    pub(crate) containerd: RwLock<Containerd>,
    /// What its containerd keeps its files on, where that can be filled up.
    pub(super) disk: Option<SmallDisk>,
    pub(super) socket: PathBuf,
    /// Where its blobs and ingests are.
    pub(crate) content_store: PathBuf,
    pub(crate) host: Host,
    pub(super) hosts_dir: PathBuf,
    /// The registry's URL.
    pub(super) registry: String,
    /// What the registry's images are called, without a tag.
    repository: String,
}

// === impl Node ===

impl Node {
    /// Starts a containerd that pulls from `origin` by plain HTTP, on `disk` where there is one.
    pub(crate) async fn start(
        name: String,
        host: Host,
        version: Version,
        hosts_dir: PathBuf,
        origin: &Origin,
        disk: Option<SmallDisk>,
    ) -> Result<Self, FleetError> {
        let written = hosts::write_plain(&hosts_dir, &origin.registry);
        written.map_err(FleetError::setup(format!("write hosts.toml for {name}")))?;
        let options = containerd::Options {
            host: Some(&host),
            hosts_dir: Some(hosts_dir.clone()),
            folder: disk.as_ref().map(|disk| disk.path().join("containerd")),
            ..Default::default()
        };
        let containerd = Containerd::start(version, options).await;
        let containerd =
            containerd.map_err(FleetError::setup(format!("start containerd on {name}")))?;
        let (registry, repository) = (origin.registry.url(), origin.repository());
        Ok(Self {
            name,
            agent: OnceLock::new(),
            spegel: OnceLock::new(),
            socket: containerd.socket(),
            content_store: containerd.content_store(),
            containerd: RwLock::new(containerd),
            disk,
            host,
            hosts_dir,
            registry,
            repository,
        })
    }

    /// The name of an image in its registry.
    pub(super) fn reference(&self, tag: &str) -> String {
        format!("{}:{tag}", self.repository)
    }

    /// Pulls an image by its tag, as the kubelet does.
    pub(super) async fn pull(&self, tag: &str) -> Result<(), FleetError> {
        let reference = self.reference(tag);
        let failed = |error: anyhow::Error| FleetError::Pull {
            node: self.name.clone(),
            source: error.into(),
        };
        let mut cri = self.containerd.read().await.cri().await.map_err(failed)?;
        match timeout(PULL_DEADLINE, cri.pull(&reference)).await {
            Ok(pulled) => pulled.map(|_| ()).map_err(failed),
            Err(_) => Err(FleetError::Late {
                what: format!("{} did not finish its pull", self.name),
                seconds: PULL_DEADLINE.as_secs(),
            }),
        }
    }

    /// What it lacks of the image, after hashing every blob again.
    pub(super) async fn lacks(&self, image: &Image) -> Option<String> {
        self.lacks_named(image, &self.repository, TAG).await
    }

    /// The same of an image of another repository, `REGISTRY/REPOSITORY`.
    pub(crate) async fn lacks_named(
        &self,
        image: &Image,
        repository: &str,
        tag: &str,
    ) -> Option<String> {
        let layout = image.layout();
        let audit = self.containerd.read().await.verify_image(layout.manifest_digest()).await;
        match audit {
            Ok(audit) if audit.bytes == image.bytes() => {
                self.lacks_name(image, repository, tag).await
            }
            Ok(audit) => Some(format!("it holds {} of {} bytes", audit.bytes, image.bytes())),
            Err(error) => Some(format!("{error:#}")),
        }
    }

    /// Whether CRI lists the image under its tag and its digest, as after a pull of the tag.
    async fn lacks_name(&self, image: &Image, repository: &str, tag: &str) -> Option<String> {
        let tag = format!("{repository}:{tag}");
        let digest = format!("{repository}@{}", image.manifest);
        let listed = async { self.containerd.read().await.cri().await?.image_status(&tag).await };
        match listed.await {
            Ok(Some(listed))
                if listed.repo_tags.contains(&tag) && listed.repo_digests.contains(&digest) =>
            {
                None
            }
            Ok(_) => Some(format!("CRI does not list it as {tag} and {digest}")),
            Err(error) => Some(format!("{error:#}")),
        }
    }

    /// The tags and digests of all images that CRI lists.
    pub(crate) async fn listed(&self) -> anyhow::Result<Vec<String>> {
        let images = self.containerd.read().await.cri().await?.list().await?;
        let names = images.into_iter().flat_map(|image| [image.repo_tags, image.repo_digests]);
        Ok(names.flatten().collect())
    }

    /// Waits until its agent serves and knows `peers` others.
    pub(crate) async fn agent_ready(&self, peers: u32) -> Result<(), FleetError> {
        let Some(agent) = self.agent.get() else { return Ok(()) };
        agent.ready(&self.host, &self.name, peers).await
    }
}
