//! One node of a cache. Pure.

use kube::ResourceExt;
use onepull_api::{NodeImageCache, NodeSummary, NotWarmNode, NotWarmReason, Source};
use serde::Serialize;

use crate::{
    convert::full_name,
    planner::Reason,
    plugin::{
        progress::{Bytes, Progress, source},
        standing::Standing,
        wanted::is_of_silence,
    },
};

/// One node: how it stands to the first image of the cache that it lacks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeRow {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    #[serde(flatten)]
    pub(super) standing: Standing,
    /// The image that the standing is about, where it lacks one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lacks: Option<String>,
    pub(super) images_warm: usize,
    pub(super) images_desired: usize,
    pub(super) sources: Vec<Source>,
    #[serde(flatten)]
    pub(super) bytes: Bytes,
}

// === impl NodeRow ===

impl NodeRow {
    /// From what a node says of the images of the cache; nothing when it was told of none.
    pub(super) fn of(object: &NodeImageCache, images: &[Progress]) -> Option<Self> {
        let latest = images.iter().max_by_key(|image| image.standing.since);
        let lacking = images.iter().find(|image| !image.standing.is_warm());
        let shown = lacking.or(latest)?;
        let mut sources: Vec<_> = images.iter().map(|image| image.source).collect();
        sources.dedup();
        Some(Self {
            name: object.name_any(),
            zone: object.spec.zone.clone(),
            standing: shown.standing.clone(),
            lacks: lacking.map(|image| image.image.clone()),
            images_warm: images.iter().filter(|image| image.standing.is_warm()).count(),
            images_desired: images.len(),
            sources,
            bytes: images.iter().fold(Bytes::default(), |sum, image| sum.and(image.bytes)),
        })
    }

    /// A node that was told nothing, and what the controller says of it.
    pub(super) fn untold(entry: &NotWarmNode) -> Self {
        Self {
            name: entry.name.clone(),
            zone: None,
            standing: Standing::told(entry, None),
            lacks: lacks(entry),
            images_warm: 0,
            images_desired: 1,
            sources: Vec::new(),
            bytes: Bytes::default(),
        }
    }

    /// Images that the node is to hold, and was perhaps not told of.
    pub(super) fn counts(&mut self, summary: &NodeSummary) {
        self.images_desired = self.images_desired.max(summary.desired as usize);
    }

    /// The controller is believed where the node holds all that it was told and lacks more, and where
    /// nothing comes any more of what the node says.
    pub(super) fn hears(&mut self, entry: &NotWarmNode) {
        let (about, is_warm) = (lacks(entry), self.standing.is_warm());
        let was_not_told = is_warm && self.images_warm < self.images_desired;
        let is_silent = is_of_silence(entry.reason) || entry.reason == NotWarmReason::NodeNotReady;
        if was_not_told || (!is_warm && is_silent && about == self.lacks) {
            (self.standing, self.lacks) = (Standing::told(entry, self.standing.since), about);
        }
    }

    /// Where it gets its images, in a word.
    pub(super) fn source(&self) -> &'static str {
        match self.sources[..] {
            [] => "-",
            [one] => source(one),
            _ => "both",
        }
    }

    /// Its sentence, where that says more than its state does.
    pub(super) fn sentence(&self) -> Option<&str> {
        let plain = Reason::Warming.to_string();
        self.standing.message.as_deref().filter(|message| *message != plain)
    }
}

fn lacks(entry: &NotWarmNode) -> Option<String> {
    entry.image.as_ref().map(|image| full_name(image).to_string())
}
