//! The status as it would be written now.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use onepull_api::{
    self as api, HeldImage, NodeCounts, NodeImageCache, NodeImageCacheStatus, NodeImageState,
    NodeReason,
};

use crate::{
    desired::{DesiredImage, UnwantedImage},
    kube::told::{Order, Told},
    status::{ImageStatus, NodeStatus, Phase, RemovalStatus},
};

/// Longest message, as the schema has it.
const LONGEST: usize = 1024;

/// Bytes that earlier runs of the agent counted, by digest: from the registry, and from peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted(HashMap<String, [u64; 2]>);

/// What `node` shows of what was told.
pub(crate) fn assemble(
    told: &Told,
    node: &NodeStatus,
    counted: &Counted,
    problem: Option<String>,
    wall: Timestamp,
) -> NodeImageCacheStatus {
    let Some(object) = &told.object else { return NodeImageCacheStatus::default() };
    let images = object.spec.images.iter().zip(&told.order.images);
    let images = images.map(|(image, order)| wanted(image, order, node, counted, wall));
    let unwanted = object.spec.remove.iter().zip(&told.order.unwanted);
    let unwanted = unwanted.map(|(image, order)| leaving(image, order, node));
    let images: Vec<_> = images.chain(unwanted).collect();
    NodeImageCacheStatus {
        observed_generation: object.metadata.generation,
        agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        counts: counts(&told.order, &images),
        images,
        problem: problem.map(short),
        ..NodeImageCacheStatus::default()
    }
}

fn counts(order: &Order, images: &[HeldImage]) -> NodeCounts {
    let of = |states: &[NodeImageState]| {
        let count = images.iter().filter(|image| states.contains(&image.state)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let failed = [NodeImageState::NeedsUpstream, NodeImageState::Failed];
    NodeCounts {
        desired: u32::try_from(order.images.len()).unwrap_or(u32::MAX),
        warm: of(&[NodeImageState::Warm]),
        failed: of(&failed),
    }
}

fn wanted(
    image: &api::DesiredImage,
    order: &Result<DesiredImage, String>,
    node: &NodeStatus,
    counted: &Counted,
    wall: Timestamp,
) -> HeldImage {
    let mut held = HeldImage {
        name: image.refs.first().cloned().unwrap_or_default(),
        digest: image.digest.clone(),
        generation: image.generation,
        ..HeldImage::default()
    };
    match order {
        Err(problem) => {
            held.state = NodeImageState::Failed;
            held.reason = Some(NodeReason::Unknown);
            held.message = Some(short(problem.clone()));
        }
        Ok(order) => {
            let digest = order.digest.to_string();
            match node.images.iter().find(|status| is_of(status, order, &digest)) {
                Some(status) => fill(&mut held, status, wall),
                None => held.reason = Some(NodeReason::OtherImagesFirst),
            }
        }
    }
    let [upstream, peers] = counted.of(&held.digest);
    held.bytes_from_upstream += upstream;
    held.bytes_from_peers += peers;
    held
}

fn fill(held: &mut HeldImage, status: &ImageStatus, wall: Timestamp) {
    held.since = wall.checked_sub(Duration::from_secs(status.seconds)).ok().map(Time);
    (held.state, held.reason) = state(status);
    held.message = status.error.clone().map(short);
    if status.state == Phase::Held && !status.blobs_complete {
        held.message = Some(
            "the container runtime lists it, and not all of its blobs are in the content store"
                .to_owned(),
        );
    }
    held.bytes_total = status.bytes_total;
    held.bytes_done = status.bytes_done.unwrap_or_default();
    held.bytes_from_upstream = status.bytes_from_upstream;
    held.bytes_from_peers = status.bytes_from_peers;
    held.blobs_complete = status.blobs_complete;
}

/// Whoever is told of a warm node sends others there, so all has to be there.
fn state(status: &ImageStatus) -> (NodeImageState, Option<NodeReason>) {
    let state = match status.state {
        Phase::Waiting => {
            return (NodeImageState::Waiting, Some(NodeReason::OtherImagesFirst));
        }
        Phase::Held if status.blobs_complete => NodeImageState::Warm,
        Phase::Held | Phase::Warming => NodeImageState::Warming,
        Phase::NeedsUpstream => NodeImageState::NeedsUpstream,
        Phase::Failed => NodeImageState::Failed,
    };
    (state, status.reason)
}

fn leaving(
    image: &api::UnwantedImage,
    order: &Result<UnwantedImage, String>,
    node: &NodeStatus,
) -> HeldImage {
    let mut held = HeldImage {
        name: image.refs.first().cloned().unwrap_or_default(),
        digest: image.digest.clone(),
        state: NodeImageState::Removing,
        ..HeldImage::default()
    };
    match order {
        Err(problem) => {
            held.reason = Some(NodeReason::Unknown);
            held.message = Some(short(problem.clone()));
        }
        Ok(order) => {
            let (digest, name) = (order.digest.to_string(), order.names.first().to_string());
            let is_it = |status: &&RemovalStatus| status.digest == digest && status.name == name;
            if let Some(status) = node.removals.iter().find(is_it) {
                if status.is_gone {
                    held.state = NodeImageState::Removed;
                }
                held.reason = status.reason;
                held.message = status.error.clone().map(short);
            }
        }
    }
    held
}

/// `digest`: the image's, written once for all comparisons.
fn is_of(status: &ImageStatus, image: &DesiredImage, digest: &str) -> bool {
    let names = std::iter::once(&status.name).chain(&status.also);
    status.digest == digest
        && status.source == image.source
        && names.cloned().eq(image.names.iter().map(ToString::to_string))
}

fn short(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(LONGEST) {
        message.truncate(end);
    }
    message
}

// === impl Counted ===

impl Counted {
    /// What the object says that was written by an earlier run.
    pub(crate) fn of_object(object: Option<&NodeImageCache>) -> Self {
        let status = object.and_then(|object| object.status.as_ref());
        let images = status.into_iter().flat_map(|status| &status.images);
        let counts = |image: &HeldImage| {
            (image.digest.clone(), [image.bytes_from_upstream, image.bytes_from_peers])
        };
        Self(images.map(counts).collect())
    }

    /// Forgets images that are no longer in the spec: who declares one again counts anew.
    pub(crate) fn keep(&mut self, object: Option<&NodeImageCache>) {
        let images = object.into_iter().flat_map(|object| &object.spec.images);
        let digests: HashSet<&str> = images.map(|image| image.digest.as_str()).collect();
        self.0.retain(|digest, _| digests.contains(digest.as_str()));
    }

    fn of(&self, digest: &str) -> [u64; 2] {
        self.0.get(digest).copied().unwrap_or_default()
    }
}
