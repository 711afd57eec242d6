//! The servers of a measurement.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::{
    api::core::v1::Namespace,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};
use onepull_api::NodeImageCache;
use onepull_testbed::{
    ApiServer, Layout, Registry, Requirement, layout::Spec, missing, registry::Options,
};
use serde_json::json;

use super::{ControlPlaneConfig, counted::Lists, until};
use crate::units::ByteSize;

/// Where the controller's lease is.
pub(super) const NAMESPACE: &str = "onepull-system";

/// Bytes of each image. The registry is asked for manifests alone.
const IMAGE: u64 = 64 << 10;

/// Objects in one answer; each may have some ten KiB.
const PAGE: u32 = 250;

/// Running servers.
pub(super) struct Cluster {
    pub(super) server: ApiServer,
    pub(super) client: Client,
    pub(super) registry: Registry,
    /// The names of the images in it.
    pub(super) images: Vec<String>,
}

// === impl Cluster ===

impl Cluster {
    pub(super) async fn start(config: &ControlPlaneConfig, scratch: &Path) -> Result<Self> {
        if let Some(reason) = missing(&[Requirement::Kubernetes, Requirement::Registry]) {
            anyhow::bail!("the control plane cannot be measured here: {reason}");
        }
        let server = ApiServer::start().await?;
        let client = super::client(&server.kubeconfig()).await?;
        let registry = Registry::start(Options::default()).await?;
        let mut images = Vec::new();
        for number in 0..config.images {
            let folder = scratch.join(format!("image-{number}"));
            let layout = Layout::generate(&folder, &Spec::even(IMAGE, 1, number.into()))?;
            let repository = format!("inference/model-{number}");
            registry.push(&layout, &repository, "v1.2.3").await?;
            images.push(format!("{}/{repository}:v1.2.3", registry.name()));
        }
        let cluster = Self { server, client, registry, images };
        cluster.install().await?;
        cluster.namespace(NAMESPACE).await?;
        Ok(cluster)
    }

    async fn install(&self) -> Result<()> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for definition in onepull_api::crds::all()? {
            api.create(&PostParams::default(), &definition).await?;
        }
        until("the definitions are established", Duration::from_secs(60), async || {
            let told: Api<NodeImageCache> = Api::all(self.client.clone());
            Ok(told.list(&ListParams::default().limit(1)).await.is_ok())
        })
        .await
    }

    pub(super) async fn namespace(&self, name: &str) -> Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        let api = Api::all(self.client.clone());
        api.create(&PostParams::default(), &namespace).await.context("cannot make a namespace")?;
        Ok(())
    }

    /// The generation of what every node is told: it counts the writes of the spec.
    pub(super) async fn generations(&self) -> Result<Lists> {
        let api: Api<NodeImageCache> = Api::all(self.client.clone());
        let mut generations = Lists::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = api.list_metadata(&page).await?;
            for object in &list.items {
                let generation = object.metadata.generation.unwrap_or(0);
                generations.insert(object.name_any(), u64::try_from(generation).unwrap_or(0));
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(generations),
            }
        }
    }

    /// Bytes of one node's object.
    pub(super) async fn node_image_cache_bytes(&self) -> Result<ByteSize> {
        let api: Api<NodeImageCache> = Api::all(self.client.clone());
        let list = api.list(&ListParams::default().limit(1)).await?;
        Ok(ByteSize::new(serde_json::to_vec(&list.items.first())?.len() as u64))
    }
}
