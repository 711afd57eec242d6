//! From the lists that select nodes to the images that these are to hold.
//!
//! A large cluster has few kinds of nodes: what a list asks of one is worked out once for all of its kind.

use std::collections::HashMap;

use super::{Board, Placing, Pool, Want, Wanted, lines::Drawn};
use crate::planner::{Platform, Reason, Resolution, Resolved};

/// Names of one image on one node, which the node's object has room for; a name for each of two or three
/// caches is the rule.
pub(in crate::planner) const MOST_NAMES: usize = 32;

/// What makes a pool of nodes.
#[derive(PartialEq, Eq, Hash)]
struct Kind<'a> {
    platform: &'a Platform,
    virtual_node: bool,
    lists: Vec<usize>,
}

/// Puts every node into its pool.
pub(super) fn fill(board: &mut Board<'_>, lists: &[Drawn]) {
    let mut pools = HashMap::new();
    for (index, lists_of) in lists_of_nodes(board.nodes.len(), lists).into_iter().enumerate() {
        let node = board.nodes[index];
        let (platform, virtual_node) = (&node.platform, node.virtual_node);
        let kind = Kind { platform, virtual_node, lists: lists_of };
        let pool = *pools.entry(kind).or_insert_with_key(|kind| {
            let pool = Draft::new(board, kind).with(lines_of(&kind.lists, lists));
            board.pools.push(pool);
            board.pools.len() - 1
        });
        board.pools[pool].available += usize::from(node.is_available());
        board.pool_of.push(pool);
    }
    sort(board);
}

/// Sorts what pools want by digest. Those of groups are compared once for all pools.
fn sort(board: &mut Board<'_>) {
    let mut groups: Vec<usize> = (0..board.groups.len()).collect();
    groups.sort_by_key(|group| board.groups[*group].digest);
    let mut ranks = vec![0; groups.len()];
    groups.into_iter().enumerate().for_each(|(rank, group)| ranks[group] = rank);
    for pool in &mut board.pools {
        pool.by_digest = (0..pool.wanted.len()).collect();
        let wanted = &board.wanted[pool.wanted.clone()];
        pool.by_digest.sort_unstable_by_key(|place| ranks[wanted[*place].group]);
    }
}

/// The lists that select each node.
fn lists_of_nodes(nodes: usize, lists: &[Drawn]) -> Vec<Vec<usize>> {
    let mut lists_of = vec![Vec::new(); nodes];
    for (index, list) in lists.iter().enumerate() {
        list.selected.iter().for_each(|node| lists_of[*node].push(index));
    }
    lists_of
}

/// The lines of these lists, each once.
fn lines_of(indices: &[usize], lists: &[Drawn]) -> Vec<usize> {
    let mut lines: Vec<usize> =
        indices.iter().flat_map(|list| &lists[*list].lines).copied().collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// A pool in the making.
struct Draft<'b, 'a> {
    board: &'b mut Board<'a>,
    kind: &'b Kind<'a>,
    pool: Pool,
}

// === impl Draft ===

impl<'b, 'a> Draft<'b, 'a> {
    fn new(board: &'b mut Board<'a>, kind: &'b Kind<'a>) -> Self {
        let first = board.wanted.len();
        let pool = Pool {
            wants: Vec::new(),
            wanted: first..first,
            by_digest: Vec::new(),
            undecided: Vec::new(),
            strays: 0..0,
            available: 0,
        };
        Self { board, kind, pool }
    }

    /// Places these lines, which are in their order.
    fn with(mut self, lines: Vec<usize>) -> Pool {
        for line in lines {
            let placing = self.place(line).unwrap_or_else(Placing::Not);
            self.pool.wants.push(Want { line, placing });
            if !matches!(self.board.lines[line].resolution, Some(Resolution::Resolved(_))) {
                self.pool.undecided.push(line);
            }
        }
        let Self { board, mut pool, .. } = self;
        pool.wanted.end = board.wanted.len();
        pool
    }

    /// Makes the line part of what the nodes are to hold.
    fn place(&mut self, line: usize) -> Result<Placing, Reason> {
        let (resolved, platform) = (self.stands_for(line)?, self.kind.platform);
        let group = self.board.group_for(line, resolved, platform);
        let group = group.ok_or_else(|| Reason::PlatformMissing { platform: platform.clone() })?;
        let cache = self.board.lines[line].cache;
        let known = self.board.groups[group].wanted;
        let index = known.filter(|known| *known >= self.pool.wanted.start).unwrap_or_else(|| {
            self.board.wanted.push(Wanted::new(group));
            self.board.wanted.len() - 1
        });
        self.board.groups[group].wanted = Some(index);
        let wanted = &mut self.board.wanted[index];
        if wanted.lines.len() >= MOST_NAMES {
            return Err(Reason::LimitReached { namespace: None });
        }
        wanted.lines.push(line);
        if wanted.caches.last() != Some(&cache) {
            wanted.caches.push(cache);
        }
        Ok(Placing::Wanted(index))
    }

    /// What the line stands for on nodes of this kind.
    fn stands_for(&self, line: usize) -> Result<&'a Resolved, Reason> {
        if self.kind.virtual_node {
            return Err(Reason::VirtualNode);
        }
        match self.board.lines[line].resolution {
            None => Err(Reason::WaitingForResolution),
            Some(Resolution::Failed(trouble)) => Err(Reason::Failed(trouble.clone())),
            Some(Resolution::Resolved(resolved)) => match self.rival(line, resolved) {
                Some(rival) => {
                    Err(Reason::TagConflict { with: self.board.caches[rival].id.clone() })
                }
                None => Ok(resolved),
            },
        }
    }

    /// The older cache that means another digest by the same name there.
    fn rival(&self, line: usize, resolved: &Resolved) -> Option<usize> {
        let name = self.board.lines[line].name;
        if !self.board.lines[line].contested {
            return None;
        }
        self.pool.wants.iter().find_map(|want| {
            let Placing::Wanted(wanted) = want.placing else { return None };
            let other = &self.board.lines[want.line];
            let disagrees = *self.board.digest_of(wanted) != resolved.digest;
            (other.name == name && disagrees).then_some(other.cache)
        })
    }
}

// === impl Wanted ===

impl Wanted {
    fn new(group: usize) -> Self {
        Self { group, lines: Vec::new(), caches: Vec::new(), warm: 0, upstream: 0 }
    }
}
