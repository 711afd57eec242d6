//! What a node is told, as its `NodeImageCache` has it, and whether it was told so.

use onepull_api::{DesiredImage, ImageQuestion, NodeImageCacheSpec, UnwantedImage};

use super::Told;
use crate::planner::{Hold, Node, NodePlan, Removal, Source};

/// Where a node says in which zone it is.
const ZONE: &str = "topology.kubernetes.io/zone";

/// Removals that a spec has room for. More come together only on a node that has been away; what is left out is left
/// to the kubelet.
const MOST_REMOVALS: usize = onepull_api::MAX_IMAGES;

/// What a node is to be told, and asked.
pub fn spec(node: &Node, plan: &NodePlan, questions: &[ImageQuestion]) -> NodeImageCacheSpec {
    NodeImageCacheSpec {
        zone: zone(node).map(ToOwned::to_owned),
        images: plan.holds.iter().map(desired).collect(),
        remove: removals(plan).iter().map(unwanted).collect(),
        questions: questions.to_vec(),
    }
}

/// Whether a node was told just that.
pub fn says(told: &Told, node: &Node, plan: &NodePlan, questions: &[ImageQuestion]) -> bool {
    told.zone.as_deref() == zone(node)
        && told.holds == plan.holds
        && told.removals == removals(plan)
        && told.questions == questions
}

fn zone(node: &Node) -> Option<&str> {
    node.labels.get(ZONE).map(|zone| &**zone)
}

fn removals(plan: &NodePlan) -> &[Removal] {
    &plan.removals[..plan.removals.len().min(MOST_REMOVALS)]
}

fn desired(hold: &Hold) -> DesiredImage {
    DesiredImage {
        refs: texts(&hold.refs),
        digest: hold.digest.to_string(),
        source: match hold.source {
            Source::Upstream => onepull_api::Source::Upstream,
            Source::Peers => onepull_api::Source::Peers,
        },
        generation: i64::try_from(hold.generation).unwrap_or(i64::MAX),
        caches: texts(&hold.caches),
    }
}

fn unwanted(removal: &Removal) -> UnwantedImage {
    UnwantedImage { refs: texts(&removal.refs), digest: removal.digest.to_string() }
}

fn texts(names: &[impl ToString]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
