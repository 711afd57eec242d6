//! What goes wrong in the middle of a rollout, and how it is mended.

use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;
use onepull_api::{NodeImageState, Source};
use onepull_mirror::store::blob_path;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::{
    api::{Objects, Seen},
    objects,
    stage::Stage,
};
use crate::fleet::{FleetError, containerd::Node};

/// The controller dies when the registry has sent this part of the images.
const STRIKES_AT: f64 = 0.3;

/// How long after its death a node is no longer ready. A node controller waits 40 s.
const UNNOTICED: Duration = Duration::from_secs(5);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// A node that has half of an image, which it pulls from the registry, dies, containerd and agent,
    /// and comes back when the others are warm.
    Seed,
    /// The controller that leads dies; another one is running.
    Controller,
}

/// What a fault did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Struck {
    /// What it was.
    pub fault: Fault,
    /// Which node, or which controller.
    pub victim: String,
    /// When, after `kubectl apply`.
    pub seconds: f64,
    /// Bytes of blobs that the victim was to get from the registry and had not complete, as a share of
    /// all images.
    pub unfinished_share: f64,
}

/// A fault on its way through a rollout.
pub(super) struct Story {
    fault: Fault,
    phase: Phase,
    pub(super) struck: Option<Struck>,
}

enum Phase {
    /// Next: `Dead`, or `Over` for a controller.
    Before,
    /// Nobody has told the API server. Next: `Unready`.
    Dead { node: usize, since: Instant },
    /// Next: `Over`, when the others are warm.
    Unready { node: usize },
    /// Everything is back.
    Over,
}

/// A node that pulls from the registry, and what it lacks of that.
struct Seed {
    node: usize,
    unfinished: u64,
}

// === impl Story ===

impl Story {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, phase: Phase::Before, struck: None }
    }

    /// Whether nothing more will happen.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Does what is due; `sent` is the share of the images that the registry has sent.
    pub(super) async fn goes_on(
        &mut self,
        stage: &mut Stage,
        objects: &Objects,
        seen: &Seen,
        sent: f64,
        now: f64,
    ) -> Result<(), FleetError> {
        match self.phase {
            Phase::Before if self.fault == Fault::Seed || sent >= STRIKES_AT => {
                self.strikes(stage, seen, now).await
            }
            Phase::Dead { node, since } if since.elapsed() >= UNNOTICED => {
                stage.mark(objects, node, false).await?;
                self.phase = Phase::Unready { node };
                Ok(())
            }
            Phase::Unready { node } if seen.is_ready() => {
                stage.revive(node).await?;
                stage.mark(objects, node, true).await?;
                self.phase = Phase::Over;
                Ok(())
            }
            Phase::Before | Phase::Dead { .. } | Phase::Unready { .. } | Phase::Over => Ok(()),
        }
    }

    async fn strikes(
        &mut self,
        stage: &mut Stage,
        seen: &Seen,
        now: f64,
    ) -> Result<(), FleetError> {
        let (victim, unfinished) = match self.fault {
            Fault::Seed => {
                let Some(Seed { node, unfinished }) = stage.seed(seen) else { return Ok(()) };
                stage.kill_node(node).await;
                self.phase = Phase::Dead { node, since: Instant::now() };
                (stage.nodes[node].name.clone(), unfinished)
            }
            Fault::Controller => {
                let leader = stage.control.kill_leader().await?;
                self.phase = Phase::Over;
                (leader, 0)
            }
        };
        tracing::info!("{victim} is killed");
        let unfinished_share = super::multiple(unfinished, stage.unique_bytes());
        self.struck = Some(Struck { fault: self.fault, victim, seconds: now, unfinished_share });
        Ok(())
    }
}

// === impl Stage ===

impl Stage {
    /// The node that lacks most of what it is to pull from the registry, and reports half of it.
    fn seed(&self, seen: &Seen) -> Option<Seed> {
        let seeds = self.nodes.iter().enumerate().map(|(node, parts)| {
            let images = self.images.iter().filter(|image| {
                let digest = image.image.manifest.to_string();
                has_half(seen, &parts.name, &digest)
            });
            let unfinished = images.map(|image| unfinished(parts, &image.image.sizes)).sum();
            Seed { node, unfinished }
        });
        seeds.max_by_key(|seed| seed.unfinished).filter(|seed| seed.unfinished > 0)
    }

    async fn kill_node(&self, node: usize) {
        let node = &self.nodes[node];
        node.containerd.write().await.kill();
        if let Some(agent) = node.agent.get() {
            agent.kill().await;
        }
    }

    async fn revive(&self, index: usize) -> Result<(), FleetError> {
        let node = &self.nodes[index];
        tracing::info!("{} comes back", node.name);
        let restarted = node.containerd.write().await.restart().await;
        restarted.map_err(FleetError::setup(format!("start containerd on {} again", node.name)))?;
        self.start_agent_again(index).await
    }

    /// What the node controller would say of a node.
    async fn mark(&self, objects: &Objects, node: usize, ready: bool) -> Result<(), FleetError> {
        let conditions = [objects::ready(ready, Timestamp::now())];
        let status = json!({ "status": { "conditions": conditions } });
        objects.mark(&self.nodes[node].name, &status).await
    }
}

/// Whether a node pulls an image from the registry, and reports half of it or more.
fn has_half(seen: &Seen, node: &str, digest: &str) -> bool {
    let Some(object) = seen.nodes.get(node) else { return false };
    let mut told = object.spec.images.iter();
    let mut reports = object.status.iter().flat_map(|status| &status.images);
    told.any(|image| image.digest == digest && image.source == Source::Upstream)
        && reports.any(|held| {
            let has_half = held.bytes_total.is_some_and(|total| 2 * held.bytes_done >= total);
            held.digest == digest && held.state == NodeImageState::Warming && has_half
        })
}

/// Bytes of blobs that are not complete on a node.
fn unfinished<'a>(
    node: &Node,
    blobs: impl IntoIterator<Item = (&'a onepull_mirror::Digest, &'a u64)>,
) -> u64 {
    let lacks = |digest| !blob_path(&node.content_store, digest).exists();
    blobs.into_iter().filter(|(digest, _)| lacks(digest)).map(|(_, size)| size).sum()
}
