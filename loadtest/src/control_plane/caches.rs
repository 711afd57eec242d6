//! The image caches of a measurement: four, each with a quarter of the images, for all nodes.

use anyhow::Result;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use onepull_api::ImageCache;
use serde_json::json;

use super::{cluster::Cluster, nodes::POOL};

const CACHES: usize = 4;

pub(super) async fn make(cluster: &Cluster) -> Result<()> {
    let share = cluster.images.len().div_ceil(CACHES);
    for (number, images) in cluster.images.chunks(share).enumerate() {
        let namespace = format!("team-{number}");
        cluster.namespace(&namespace).await?;
        let cache: ImageCache = serde_json::from_value(json!({
            "apiVersion": "onepull.dev/v1alpha1", "kind": "ImageCache",
            "metadata": {"name": "models"},
            "spec": {"cacheSpec": [{"images": images, "nodeSelector": {POOL: "true"}}]},
        }))?;
        let api: Api<ImageCache> = Api::namespaced(cluster.client.clone(), &namespace);
        api.create(&PostParams::default(), &cache).await?;
    }
    Ok(())
}

/// Whether all are Ready, and how far they are, in a line.
pub(super) async fn ready(cluster: &Cluster) -> Result<(bool, String)> {
    let api: Api<ImageCache> = Api::all(cluster.client.clone());
    let caches = api.list(&ListParams::default()).await?.items;
    let statuses = caches.iter().filter_map(|cache| cache.status.as_ref());
    let is_ready = |status: &&onepull_api::ImageCacheStatus| {
        status.conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    let ready = statuses.clone().filter(is_ready).count();
    let nodes: Vec<String> = statuses
        .map(|status| format!("{}/{} {:?}", status.counts.warm, status.counts.nodes, status.state))
        .collect();
    let line = format!("{ready} of {} caches are Ready: {}", caches.len(), nodes.join(", "));
    Ok((!caches.is_empty() && ready == caches.len(), line))
}
