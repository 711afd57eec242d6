//! The agents of all nodes: each holds what it is told as soon as it can, and says so.

use std::{collections::BTreeSet, time::Duration};

use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use onepull_api::{
    DesiredImage, Disk, HeldImage, NodeImageCache, NodeImageCacheStatus, NodeImageState, Source,
};
use serde_json::json;
use tokio::time::sleep;

/// Between two looks.
const PACE: Duration = Duration::from_millis(100);

/// Runs until it is dropped; every image has `bytes`.
pub(crate) async fn run(client: Client, bytes: u64) {
    let api: Api<NodeImageCache> = Api::all(client);
    loop {
        sleep(PACE).await;
        // The definitions may not be there yet.
        let Ok(objects) = api.list(&ListParams::default()).await else { continue };
        let holders = holders(&objects.items);
        for object in &objects.items {
            let status = status(object, &holders, bytes);
            if object.status.as_ref() != Some(&status) {
                let patch = Patch::Merge(json!({ "status": status }));
                // It may have been deleted meanwhile.
                let _ = api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await;
            }
        }
    }
}

/// The digests that some node holds.
fn holders(objects: &[NodeImageCache]) -> BTreeSet<String> {
    let held = objects.iter().filter_map(|object| object.status.as_ref());
    let held = held.flat_map(|status| &status.images);
    let warm = held.filter(|image| image.state == NodeImageState::Warm);
    warm.filter_map(|image| image.digest.clone()).collect()
}

fn status(object: &NodeImageCache, holders: &BTreeSet<String>, bytes: u64) -> NodeImageCacheStatus {
    let before = object.status.clone().unwrap_or_default();
    let mut images: Vec<_> = object
        .spec
        .images
        .iter()
        .map(|image| hold(image, &before.images, holders, bytes))
        .collect();
    images.extend(object.spec.remove.iter().map(|image| HeldImage {
        name: image.refs[0].clone(),
        digest: Some(image.digest.clone()),
        state: NodeImageState::Removed,
        ..HeldImage::default()
    }));
    NodeImageCacheStatus {
        observed_generation: object.metadata.generation,
        disk: Some(Disk { capacity_bytes: 1 << 40, available_bytes: 1 << 40 }),
        images,
        ..NodeImageCacheStatus::default()
    }
}

fn hold(
    image: &DesiredImage,
    before: &[HeldImage],
    holders: &BTreeSet<String>,
    bytes: u64,
) -> HeldImage {
    let known = before.iter().find(|held| held.digest == image.digest);
    let has_it = known.is_some_and(|held| held.state == NodeImageState::Warm);
    let found = image.digest.as_ref().is_some_and(|digest| holders.contains(digest));
    let upstream = !has_it && image.source == Source::Upstream;
    let state = match has_it || upstream || found {
        true => NodeImageState::Warm,
        false => NodeImageState::Warming,
    };
    let fetched = if upstream { bytes } else { 0 };
    HeldImage {
        name: image.refs[0].clone(),
        digest: image.digest.clone(),
        generation: image.generation,
        state,
        bytes_total: Some(bytes),
        bytes_done: if state == NodeImageState::Warm { bytes } else { 0 },
        bytes_from_upstream: known.map_or(fetched, |held| held.bytes_from_upstream + fetched),
        blobs_complete: state == NodeImageState::Warm,
        ..HeldImage::default()
    }
}
