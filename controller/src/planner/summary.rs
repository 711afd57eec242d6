//! From decisions to what each cache is told.

use std::collections::BTreeMap;

use super::{
    Board, CacheId, Gravity, ImageRef, ImageRollup, MOST_NAMED, NodeCounts, NodeName, NodeRollup,
    NotWarm, Reason, Resolution, Rollup, State, Trouble,
    board::{Item, Line, Placing, Standing, Want},
    conditions,
};

/// What is found on the way through a cache's nodes.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) nodes: NodeCounts,
    /// Virtual ones among the unavailable.
    pub(super) virtual_nodes: usize,
    /// By gravity, at most [`MOST_NAMED`] each.
    pub(super) named: BTreeMap<Gravity, Vec<NotWarm>>,
    /// Nodes of each reason, and the first of them.
    pub(super) reasons: BTreeMap<&'static str, (usize, NotWarm)>,
    selected: Vec<NodeRollup>,
    images: Vec<ImageRollup>,
    upstream: u64,
}

/// Counts for each line the nodes that are waited for, and those of them that hold it. Those that hold what they were told
/// for a line that is not resolved have been counted.
pub(super) fn count_warm(board: &mut Board<'_>) {
    for pool in &board.pools {
        for want in &pool.wants {
            let line = &mut board.lines[want.line];
            line.desired += pool.available;
            line.warm += match want.placing {
                Placing::Wanted(wanted) => board.wanted[wanted].warm,
                Placing::Not(_) => 0,
            };
        }
    }
}

/// Sums up all caches.
pub(super) fn rollups(board: &Board<'_>) -> BTreeMap<CacheId, Rollup> {
    let mut tallies: Vec<Tally> = board.caches.iter().map(|_| Tally::default()).collect();
    for node in 0..board.nodes.len() {
        for run in board.pools[board.pool_of[node]].by_cache(&board.lines) {
            count(board, node, run, &mut tallies[board.lines[run[0].line].cache]);
        }
    }
    for wanted in &board.wanted {
        for cache in &wanted.caches {
            let upstream = &mut tallies[*cache].upstream;
            *upstream = upstream.saturating_add(wanted.upstream);
        }
    }
    for line in &board.lines {
        tallies[line.cache].images.push(image(board, line));
    }
    let tallies = tallies.into_iter().enumerate();
    tallies.map(|(cache, tally)| rollup(board, cache, tally)).collect()
}

fn image(board: &Board<'_>, line: &Line<'_>) -> ImageRollup {
    ImageRollup {
        image: line.name.clone(),
        digest: digest(line.resolution),
        bytes: line.groups.iter().map(|group| board.groups[*group].content.bytes).max(),
        desired: line.desired,
        warm: line.warm,
        trouble: trouble(line.resolution),
    }
}

fn digest(resolution: Option<&Resolution>) -> Option<super::Digest> {
    match resolution {
        Some(Resolution::Resolved(resolved)) => Some(resolved.digest.clone()),
        _ => None,
    }
}

fn trouble(resolution: Option<&Resolution>) -> Option<Trouble> {
    match resolution {
        Some(Resolution::Failed(trouble)) => Some(trouble.clone()),
        _ => None,
    }
}

fn rollup(board: &Board<'_>, index: usize, tally: Tally) -> (CacheId, Rollup) {
    let cache = board.caches[index];
    let conditions = conditions::of(board, index, &tally);
    let not_warm = tally.named.into_values().flatten().take(MOST_NAMED).collect();
    let rollup = Rollup {
        images: tally.images,
        nodes: tally.nodes,
        not_warm,
        selected: tally.selected,
        upstream_bytes: tally.upstream,
        image_bytes: image_bytes(board, index),
        conditions,
        released: false,
    };
    (cache.id.clone(), rollup)
}

fn image_bytes(board: &Board<'_>, cache: usize) -> u64 {
    let lines = board.lines.iter().filter(|line| line.cache == cache);
    let mut groups: Vec<usize> = lines.flat_map(|line| line.groups.iter().copied()).collect();
    groups.sort_unstable();
    groups.dedup();
    let bytes = groups.into_iter().map(|group| board.groups[group].content.bytes);
    bytes.fold(0, u64::saturating_add)
}

/// Counts one node of one cache.
fn count(board: &Board<'_>, index: usize, run: &[Want], tally: &mut Tally) {
    let node = board.nodes[index];
    tally.nodes.selected += 1;
    tally.virtual_nodes += usize::from(node.virtual_node);
    tally.nodes.unavailable += usize::from(!node.is_available());
    if tally.selected.len() < MOST_NAMED {
        tally.selected.push(node_rollup(board, index, run));
    }
    let lacks = run.iter().filter_map(|want| Some((reason(board, index, want)?, want.line)));
    // The first of the gravest.
    let Some((reason, line)) = lacks.min_by_key(|(reason, _)| reason.gravity()) else {
        tally.nodes.warm += usize::from(node.is_available());
        return;
    };
    if node.is_available() {
        match reason.gravity() {
            Gravity::Wrong => tally.nodes.failed += 1,
            _ if matches!(reason, Reason::Warming | Reason::NoPeerHasIt) => {
                tally.nodes.warming += 1;
            }
            _ => tally.nodes.waiting += 1,
        }
    }
    tally.name(reason, &node.name, board.lines[line].name);
}

fn node_rollup(board: &Board<'_>, node: usize, run: &[Want]) -> NodeRollup {
    let items = run.iter().filter_map(|want| board.item_of(node, want).ok());
    // An image that the cache names twice is one item.
    let images: BTreeMap<usize, &Item<'_>> = items.map(|item| (item.wanted, item)).collect();
    let reports = images.into_values().filter_map(|item| item.report);
    NodeRollup {
        node: board.nodes[node].name.clone(),
        desired: run.len(),
        warm: run.iter().filter(|want| holds(board, node, want)).count(),
        upstream_bytes: reports.fold(0, |sum, report| sum.saturating_add(report.upstream)),
    }
}

fn holds(board: &Board<'_>, node: usize, want: &Want) -> bool {
    board.is_warm(node, want) || board.is_kept(node, want)
}

/// Why the node lacks what a line wants there; nothing when it holds it.
pub(super) fn reason<'b>(board: &'b Board<'_>, node: usize, want: &'b Want) -> Option<&'b Reason> {
    let item = match board.item_of(node, want) {
        Ok(item) => item,
        Err(_) if board.is_kept(node, want) => {
            return (!board.nodes[node].ready).then_some(&Reason::NodeNotReady);
        }
        Err(reason) => return Some(reason),
    };
    match item.standing {
        _ if !board.nodes[node].ready => Some(&Reason::NodeNotReady),
        Standing::Warm => None,
        Standing::Failing(why) | Standing::Waits(why) => Some(board.reasons.get(why)),
        Standing::UnderWay | Standing::Told | Standing::Free => Some(work(item)),
    }
}

fn work(item: &Item<'_>) -> &'static Reason {
    match item.state.filter(|_| item.answers) {
        Some(State::Waiting) => &Reason::WaitingForOtherImages,
        Some(State::NeedsUpstream) => &Reason::NoPeerHasIt,
        _ => &Reason::Warming,
    }
}

// === impl Tally ===

impl Tally {
    fn name(&mut self, reason: &Reason, node: &NodeName, image: &ImageRef) {
        let not_warm =
            || NotWarm { node: node.clone(), image: image.clone(), reason: reason.clone() };
        let count = self.reasons.entry(reason.as_str());
        count.or_insert_with(|| (0, not_warm())).0 += 1;
        let named = self.named.entry(reason.gravity()).or_default();
        if named.len() < MOST_NAMED {
            named.push(not_warm());
        }
    }
}
