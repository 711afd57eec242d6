//! The images of all caches, and which nodes their lists select.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Board, ImageRef, Line, selectors::Selectors};
use crate::planner::Resolution;

/// One list of a cache.
pub(super) struct Drawn {
    pub(super) lines: Vec<usize>,
    /// Nodes that it selects, in their order.
    pub(super) selected: Arc<[usize]>,
}

/// Draws up the lines; returns the lists that they are of, in their order.
pub(super) fn draw(board: &mut Board<'_>) -> Vec<Drawn> {
    let nodes = board.nodes.clone();
    let lists = board.caches.iter().flat_map(|cache| &cache.lists);
    let mut selectors = Selectors::new(&nodes, lists.map(|list| &list.selector));
    let mut lists = Vec::new();
    for (index, cache) in board.caches.iter().enumerate().filter(|(_, cache)| !cache.deleting) {
        let mut drawn = HashMap::new();
        for list in &cache.lists {
            let line = |name| {
                *drawn.entry(name).or_insert_with(|| {
                    let resolution = cache.resolutions.get(name);
                    board.lines.push(Line::new(index, name, resolution));
                    board.lines.len() - 1
                })
            };
            let lines = list.images.iter().map(line).collect();
            lists.push(Drawn { lines, selected: selectors.select(&list.selector) });
        }
    }
    mark_contested(board);
    lists
}

fn mark_contested(board: &mut Board<'_>) {
    let mut meant = HashMap::new();
    let mut contested = HashSet::new();
    for line in &board.lines {
        if let Some(Resolution::Resolved(resolved)) = line.resolution
            && meant.insert(line.name, &resolved.digest).is_some_and(|old| *old != resolved.digest)
        {
            contested.insert(line.name);
        }
    }
    for line in &mut board.lines {
        line.contested = contested.contains(line.name);
    }
}

// === impl Line ===

impl<'a> Line<'a> {
    fn new(cache: usize, name: &'a ImageRef, resolution: Option<&'a Resolution>) -> Self {
        let (groups, desired, warm) = (Vec::new(), 0, 0);
        Self { cache, name, resolution, contested: false, groups, desired, warm }
    }

    /// Whether a node that is waited for lacks it.
    pub(in crate::planner) fn is_lacking(&self) -> bool {
        self.warm < self.desired
    }
}
