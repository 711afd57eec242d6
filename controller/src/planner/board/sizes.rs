//! How large images are that no registry tells of.

use std::collections::HashMap;

use super::Line;
use crate::planner::{Content, Digest, Node, Report, Resolution};

/// By digest, what they usually take on the disk, by the compressed bytes that nodes report.
#[derive(Debug, Default)]
pub(in crate::planner) struct Sizes<'a>(HashMap<&'a Digest, u64>);

// === impl Sizes ===

impl<'a> Sizes<'a> {
    /// Nodes are read where some registry fails: all of their reports take a while.
    pub(super) fn reported(lines: &[Line<'_>], nodes: &[&'a Node]) -> Self {
        let fails = |line: &Line<'_>| matches!(line.resolution, Some(Resolution::Failed(_)));
        let mut sizes = HashMap::new();
        if lines.iter().any(fails) {
            for (digest, report) in nodes.iter().flat_map(|node| &node.reports) {
                let known = sizes.entry(digest).or_insert(0);
                *known = disk(report).max(*known);
            }
        }
        Self(sizes)
    }

    /// The size of an image that a node reports so; 0 when no node knows it yet.
    pub(in crate::planner) fn of(&self, digest: &Digest, report: Option<&Report>) -> u64 {
        let known = self.0.get(digest).copied().unwrap_or(0);
        report.map_or(0, disk).max(known)
    }
}

fn disk(report: &Report) -> u64 {
    Content::usual_disk(report.total.unwrap_or(0).max(report.bytes))
}
