//! The agents of all nodes: each holds what it is told as soon as it can, unless a test orders otherwise,
//! and says so.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use onepull_api::{
    DesiredImage, Disk, HeldImage, ImageAnswer, ImageQuestion, NodeImageCache,
    NodeImageCacheStatus, NodeImageState, NodeReason, PlatformImage, Source,
};
use onepull_resolve::{Credentials, Resolver};
use serde_json::json;
use tokio::time::sleep;

/// Between two looks.
const PACE: Duration = Duration::from_millis(100);

/// What a test orders the agents to do.
#[derive(Debug)]
pub(crate) struct Orders {
    /// Bytes of every image.
    bytes: u64,
    /// Bytes of every node's disk.
    disk: AtomicU64,
    /// What is not warm yet stays half done.
    halted: AtomicBool,
    /// Nodes whose agent says nothing.
    silent: Mutex<BTreeSet<String>>,
    /// Nodes that cannot reach the registry.
    cut_off: Mutex<BTreeSet<String>>,
    /// What nodes know of a private registry, once they do.
    logins: OnceLock<Logins>,
}

/// Logins of nodes, as credential plugins have them.
#[derive(Debug)]
pub(crate) struct Logins {
    /// What they are for.
    pub(crate) pattern: String,
    pub(crate) credentials: Credentials,
    pub(crate) resolver: Resolver,
}

/// Runs until it is dropped.
pub(crate) async fn run(client: Client, orders: &Orders) {
    let api: Api<NodeImageCache> = Api::all(client);
    loop {
        sleep(PACE).await;
        // The definitions may not be there yet.
        let Ok(objects) = api.list(&ListParams::default()).await else { continue };
        let holders = holders(&objects.items);
        for object in &objects.items {
            if orders.silent.lock().unwrap().contains(&object.name_any()) {
                continue;
            }
            let mut status = status(object, &holders, orders);
            if let Some(logins) = orders.logins.get() {
                status.logins = vec![logins.pattern.clone()];
                for question in &object.spec.questions {
                    status.answers.push(logins.answer(question).await);
                }
            }
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
    warm.map(|image| image.digest.clone()).collect()
}

fn status(
    object: &NodeImageCache,
    holders: &BTreeSet<String>,
    orders: &Orders,
) -> NodeImageCacheStatus {
    let before = object.status.clone().unwrap_or_default();
    let mut images: Vec<_> = object
        .spec
        .images
        .iter()
        .map(|image| hold(image, &before.images, holders, orders, &object.name_any()))
        .collect();
    images.extend(object.spec.remove.iter().map(|image| HeldImage {
        name: image.refs[0].clone(),
        digest: image.digest.clone(),
        state: NodeImageState::Removed,
        ..HeldImage::default()
    }));
    NodeImageCacheStatus {
        observed_generation: object.metadata.generation,
        disk: Some(orders.disk()),
        images,
        ..NodeImageCacheStatus::default()
    }
}

fn hold(
    image: &DesiredImage,
    before: &[HeldImage],
    holders: &BTreeSet<String>,
    orders: &Orders,
    node: &str,
) -> HeldImage {
    let known = before.iter().find(|held| held.digest == image.digest);
    let has_it = known.is_some_and(|held| held.state == NodeImageState::Warm);
    let found = holders.contains(&image.digest);
    let upstream = !has_it && image.source == Source::Upstream;
    let fails = !has_it && orders.is_cut_off(node);
    let state = match has_it || upstream || found {
        _ if fails => NodeImageState::Failed,
        _ if !has_it && orders.halted.load(Ordering::Relaxed) => NodeImageState::Warming,
        true => NodeImageState::Warm,
        false => NodeImageState::Warming,
    };
    let bytes = orders.bytes;
    let fetched = if upstream && state == NodeImageState::Warm { bytes } else { 0 };
    HeldImage {
        name: image.refs[0].clone(),
        digest: image.digest.clone(),
        generation: image.generation,
        state,
        bytes_total: Some(bytes),
        bytes_done: if state == NodeImageState::Warm { bytes } else { 0 },
        bytes_from_upstream: known.map_or(fetched, |held| held.bytes_from_upstream + fetched),
        blobs_complete: state == NodeImageState::Warm,
        reason: fails.then_some(NodeReason::RegistryUnreachable),
        message: fails.then(|| "the registry does not answer from here".to_owned()),
        ..HeldImage::default()
    }
}

// === impl Logins ===

impl Logins {
    async fn answer(&self, question: &ImageQuestion) -> ImageAnswer {
        let image = question.name.parse().unwrap();
        let resolved = self.resolver.resolve(&image, &self.credentials).await;
        let mut answer = ImageAnswer::to(question);
        match resolved {
            Ok(resolved) => {
                answer.digest = Some(resolved.digest.to_string());
                answer.images.extend(resolved.images.iter().map(|image| PlatformImage {
                    platform: image.platform.to_string(),
                    manifest: image.manifest.to_string(),
                    compressed_bytes: image.compressed_bytes,
                    disk_bytes: image.disk_bytes,
                }));
            }
            Err(error) => {
                answer.reason = Some(NodeReason::ImageNotFound);
                answer.message = Some(error.to_string());
            }
        }
        answer
    }
}

// === impl Orders ===

impl Orders {
    /// Agents that hold whatever they are told; every image has `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        let (disk, halted) = (AtomicU64::new(1 << 40), AtomicBool::new(false));
        let logins = OnceLock::new();
        let (cut_off, silent) = (Mutex::default(), Mutex::default());
        Self { bytes, disk, halted, silent, cut_off, logins }
    }

    /// From now on nodes have these logins.
    pub(crate) fn log_in(&self, logins: Logins) {
        self.logins.set(logins).unwrap();
    }

    /// From now on nothing becomes warm.
    pub(crate) fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    /// All goes on, and everybody reaches the registry.
    pub(crate) fn go_on(&self) {
        self.cut_off.lock().unwrap().clear();
        self.halted.store(false, Ordering::Relaxed);
    }

    /// From now on a node's agent says nothing, as if there were none.
    pub(crate) fn silence(&self, node: &str) {
        self.silent.lock().unwrap().insert(node.to_owned());
    }

    /// A node cannot reach the registry from now on.
    pub(crate) fn cut_off(&self, node: &str) {
        self.cut_off.lock().unwrap().insert(node.to_owned());
    }

    /// Every node's disk is that large, and empty.
    pub(crate) fn resize_disks(&self, bytes: u64) {
        self.disk.store(bytes, Ordering::Relaxed);
    }

    fn is_cut_off(&self, node: &str) -> bool {
        self.cut_off.lock().unwrap().contains(node)
    }

    fn disk(&self) -> Disk {
        let bytes = self.disk.load(Ordering::Relaxed);
        Disk { capacity_bytes: bytes, available_bytes: bytes }
    }
}
