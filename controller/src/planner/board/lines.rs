//! The images of all caches, and which of them select which node.

use std::collections::{HashMap, HashSet};

use super::{Board, ImageRef, Line, selectors::Selectors};
use crate::planner::{Resolution, turns::Turns};

/// Draws up the lines; returns those of each node, in their order.
pub(super) fn draw(board: &mut Board<'_>) -> Vec<Vec<usize>> {
    let nodes = board.nodes.clone();
    let lists = board.caches.iter().flat_map(|cache| &cache.lists);
    let mut selectors = Selectors::new(&nodes, lists.map(|list| &list.selector));
    let mut lines_of = vec![Vec::new(); nodes.len()];
    for (index, cache) in board.caches.iter().enumerate().filter(|(_, cache)| !cache.deleting) {
        let mut drawn = HashMap::new();
        for list in &cache.lists {
            let selected = selectors.select(&list.selector);
            for name in &list.images {
                let line = *drawn.entry(name).or_insert_with(|| {
                    let resolution = cache.resolutions.get(name);
                    board.lines.push(Line::new(index, name, resolution));
                    board.lines.len() - 1
                });
                selected.iter().for_each(|node| lines_of[*node].push(line));
            }
        }
    }
    for lines in &mut lines_of {
        lines.sort_unstable();
        lines.dedup();
    }
    mark_contested(board);
    board.turns = turns(board, &lines_of);
    lines_of
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

/// How many nodes each cache may have at work.
fn turns(board: &Board<'_>, lines_of: &[Vec<usize>]) -> Turns {
    let mut available = vec![0; board.caches.len()];
    for (node, lines) in board.nodes.iter().zip(lines_of) {
        if node.is_available() {
            let caches: HashSet<usize> =
                lines.iter().map(|line| board.lines[*line].cache).collect();
            caches.into_iter().for_each(|cache| available[cache] += 1);
        }
    }
    let most = board.caches.iter().zip(available);
    Turns::new(most.map(|(cache, total)| cache.max_parallel.of(total)).collect(), board.nodes.len())
}

// === impl Line ===

impl<'a> Line<'a> {
    fn new(cache: usize, name: &'a ImageRef, resolution: Option<&'a Resolution>) -> Self {
        Self { cache, name, resolution, contested: false, groups: Vec::new(), lacking: 0 }
    }
}
