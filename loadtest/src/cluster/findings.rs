//! What the nodes hold when it is over: asked of CRI, of the disk and of the agents' counters.

use std::collections::BTreeSet;

use super::{report::NodeReport, rollout::Rollout, stage::Stage, view::View};
use crate::fleet::{FleetError, containerd::Node};

/// What an agent counts of blobs that came to its node: from peers, from the registry, and written by
/// itself.
const COUNTERS: [&str; 3] = [
    "onepull_mirror_received_bytes_total",
    "onepull_upstream_bytes_total",
    "onepull_warmed_bytes_total",
];

// === impl Stage ===

impl Stage {
    /// One report a node; `received` is what each node's link has received.
    pub(super) async fn findings(
        &self,
        rollout: &Rollout,
        received: &[u64],
    ) -> Result<Vec<NodeReport>, FleetError> {
        let mut reports = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let mut report = self.finding(index, node).await?;
            let view = rollout.last.nodes.get(&node.name).map(View::of).unwrap_or_default();
            report.seeds = view.seeds;
            report.bytes_from_upstream = view.from_upstream;
            report.bytes_from_peers = view.from_peers;
            report.warm_seconds = rollout.warm[index];
            report.link_bytes = received.get(index).copied().unwrap_or_default();
            reports.push(report);
        }
        Ok(reports)
    }

    async fn finding(&self, index: usize, node: &Node) -> Result<NodeReport, FleetError> {
        let wanted = self.wanted(index);
        let (mut lacks, mut allowed) = (Vec::new(), BTreeSet::new());
        for wanted in wanted.iter().map(|index| &self.images[*index]) {
            let (repository, tag) = wanted.named.parts();
            if let Some(lacking) = node.lacks_named(&wanted.image, repository, tag).await {
                lacks.push(format!("{}: {lacking}", wanted.named.name));
            }
            allowed.insert(wanted.named.name.clone());
            allowed.insert(format!("{repository}@{}", wanted.image.manifest));
        }
        let listed = node.listed().await;
        let listed =
            listed.map_err(FleetError::setup(format!("list the images of {}", node.name)))?;
        Ok(NodeReport {
            name: node.name.clone(),
            lists: self.file.lists_of(index).into_iter().map(|list| list + 1).collect(),
            wanted: wanted.len(),
            lacks,
            extra: listed.into_iter().filter(|name| !allowed.contains(name)).collect(),
            held_bytes: node.held(),
            counted_bytes: counted(node).await?,
            ..NodeReport::default()
        })
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter of bytes, which a double holds to 8 PiB"
)]
async fn counted(node: &Node) -> Result<u64, FleetError> {
    let silent = || format!("the agent of {} does not show its metrics", node.name);
    let counted = match node.agent.get() {
        Some(agent) => agent.counted(&node.host, &COUNTERS).await,
        None => None,
    };
    let counted = counted.ok_or_else(|| FleetError::setup("read an agent's counters")(silent()))?;
    Ok(counted as u64)
}
