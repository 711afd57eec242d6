//! Lets go of the ImageCaches, which stay: nobody would be left to remove their images when they are deleted, and
//! their deletion, and that of their namespaces, would wait for ever.

use std::time::Duration;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use onepull_api::ImageCache;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{LOOK, UninstallError};
use crate::finalizer::{self, FINALIZER};

/// The controllers' Deployment.
pub const DEPLOYMENT: &str = "onepull-controller";

/// By what its pods are found.
const PODS: &str = "app.kubernetes.io/name=onepull,app.kubernetes.io/component=controller";

/// A pod has half a minute to end. One whose node is away never ends, and does nothing either.
const ENDED: Duration = Duration::from_secs(40);

/// Caches read at a time.
const PAGE: u32 = 500;

/// How often to look again where somebody else has changed a cache meanwhile.
const ROUNDS: usize = 5;

/// Ends the controllers first, since they would hold the caches again.
pub(super) async fn let_go(client: &Client, namespace: &str) -> Result<(), UninstallError> {
    end_controllers(client, namespace).await.map_err(UninstallError::Controllers)?;
    for _ in 0..ROUNDS {
        if let_all_go(client).await.map_err(UninstallError::Caches)? {
            return Ok(());
        }
    }
    warn!("some ImageCaches change all the time, and are still held by {FINALIZER}");
    Ok(())
}

async fn end_controllers(client: &Client, namespace: &str) -> kube::Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    if !is_done(deployments.patch(DEPLOYMENT, &PatchParams::default(), &none).await)? {
        return Ok(());
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let end = Instant::now() + ENDED;
    while !pods.list(&ListParams::default().labels(PODS)).await?.items.is_empty() {
        if Instant::now() >= end {
            warn!("a controller has not ended in {} s, and is not waited for", ENDED.as_secs());
            break;
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Whether none of them is held any more.
async fn let_all_go(client: &Client) -> kube::Result<bool> {
    let all: Api<ImageCache> = Api::all(client.clone());
    let (mut free, mut page) = (true, ListParams::default().limit(PAGE));
    loop {
        let listed = match all.list_metadata(&page).await {
            // Their definition is gone, and they with it.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(true),
            listed => listed?,
        };
        for cache in listed.items.iter().filter(|cache| finalizer::is_on(*cache)) {
            let (namespace, name) = (cache.namespace().unwrap_or_default(), cache.name_any());
            let (others, version) = (finalizer::others(cache), cache.resource_version());
            let written =
                finalizer::write(client, (&namespace, &name), &others, version.as_deref()).await;
            if is_done(written)? {
                info!("{namespace}/{name} can be deleted; its images stay on the nodes");
            } else {
                free = false;
            }
        }
        match listed.metadata.continue_ {
            Some(next) if !next.is_empty() => page = page.continue_token(&next),
            _ => return Ok(free),
        }
    }
}

/// Whether it was written: not so when it is gone, or has just been changed by somebody else.
fn is_done<T>(written: kube::Result<T>) -> kube::Result<bool> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(false),
        Err(error) => Err(error),
    }
}
