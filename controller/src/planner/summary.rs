//! From decisions to what each cache is told.

use std::collections::BTreeMap;

use super::{
    Board, CacheId, Gravity, ImageRollup, MOST_NAMED, NodeCounts, NodeRollup, NotWarm, Reason,
    Resolution, Rollup, State, Trouble,
    board::{Item, Placing, Standing, Want},
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
    upstream: u64,
}

/// Sums up all caches.
pub(super) fn rollups(board: &Board<'_>) -> BTreeMap<CacheId, Rollup> {
    let mut tallies: Vec<Tally> = board.caches.iter().map(|_| Tally::default()).collect();
    let mut warm = vec![0; board.lines.len()];
    let mut desired = vec![0; board.lines.len()];
    for node in 0..board.nodes.len() {
        let wants = &board.wants[board.wants_of[node].clone()];
        for run in wants.chunk_by(|a, b| board.lines[a.line].cache == board.lines[b.line].cache) {
            count(board, node, run, &mut tallies[board.lines[run[0].line].cache]);
            for want in run.iter().filter(|_| board.nodes[node].is_available()) {
                desired[want.line] += 1;
                warm[want.line] += usize::from(is_warm(board, want));
            }
        }
    }
    let images = board.lines.iter().enumerate().map(|(index, line)| ImageRollup {
        image: line.name.clone(),
        digest: digest(line.resolution),
        bytes: line.groups.iter().map(|group| board.groups[*group].content.bytes).max(),
        desired: desired[index],
        warm: warm[index],
        trouble: trouble(line.resolution),
    });
    let mut images_of: Vec<Vec<ImageRollup>> = board.caches.iter().map(|_| Vec::new()).collect();
    images.zip(&board.lines).for_each(|(image, line)| images_of[line.cache].push(image));
    let parts = tallies.into_iter().zip(images_of).enumerate();
    parts.map(|(cache, (tally, images))| rollup(board, cache, tally, images)).collect()
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

fn rollup(
    board: &Board<'_>,
    index: usize,
    tally: Tally,
    images: Vec<ImageRollup>,
) -> (CacheId, Rollup) {
    let cache = board.caches[index];
    let conditions = conditions::of(board, index, &tally);
    let not_warm = tally.named.into_values().flatten().take(MOST_NAMED).collect();
    let rollup = Rollup {
        images,
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
    let upstream = run.iter().fold(0u64, |sum, want| sum.saturating_add(upstream(board, want)));
    tally.upstream = tally.upstream.saturating_add(upstream);
    if tally.selected.len() < MOST_NAMED {
        let (node, desired) = (node.name.clone(), run.len());
        let warm = run.iter().filter(|want| is_warm(board, want)).count();
        tally.selected.push(NodeRollup { node, desired, warm, upstream_bytes: upstream });
    }
    let mut worst: Option<(Gravity, NotWarm)> = None;
    for want in run {
        let Some(reason) = reason(board, index, want) else { continue };
        let gravity = reason.gravity();
        if worst.as_ref().is_none_or(|(known, _)| gravity < *known) {
            let image = board.lines[want.line].name.clone();
            worst = Some((gravity, NotWarm { node: node.name.clone(), image, reason }));
        }
    }
    match worst {
        None if node.is_available() => tally.nodes.warm += 1,
        None => {}
        Some((gravity, not_warm)) => {
            if node.is_available() {
                let works = matches!(not_warm.reason, Reason::Warming | Reason::NoPeerHasIt);
                match gravity {
                    Gravity::Wrong => tally.nodes.failed += 1,
                    _ if works => tally.nodes.warming += 1,
                    _ => tally.nodes.waiting += 1,
                }
            }
            tally.name(gravity, not_warm);
        }
    }
}

fn upstream(board: &Board<'_>, want: &Want) -> u64 {
    match want.placing {
        Placing::Item(item) => board.items[item].report.map_or(0, |report| report.upstream),
        Placing::Not(_) => 0,
    }
}

fn is_warm(board: &Board<'_>, want: &Want) -> bool {
    matches!(want.placing, Placing::Item(item) if board.items[item].standing == Standing::Warm)
}

/// Why the node lacks what a line wants there; nothing when it holds it.
pub(super) fn reason(board: &Board<'_>, node: usize, want: &Want) -> Option<Reason> {
    let item = match &want.placing {
        Placing::Item(item) => &board.items[*item],
        Placing::Not(reason) => return Some(reason.clone()),
    };
    match &item.standing {
        _ if !board.nodes[node].ready => Some(Reason::NodeNotReady),
        Standing::Warm => None,
        Standing::Failing(reason) | Standing::Waits(reason) => Some(reason.clone()),
        Standing::UnderWay | Standing::Told | Standing::Free => Some(work(item)),
    }
}

fn work(item: &Item<'_>) -> Reason {
    match item.answer().map(|report| report.state) {
        Some(State::Waiting) => Reason::WaitingForOtherImages,
        Some(State::NeedsUpstream) => Reason::NoPeerHasIt,
        _ => Reason::Warming,
    }
}

// === impl Tally ===

impl Tally {
    fn name(&mut self, gravity: Gravity, not_warm: NotWarm) {
        let count = self.reasons.entry(not_warm.reason.as_str());
        count.or_insert_with(|| (0, not_warm.clone())).0 += 1;
        let named = self.named.entry(gravity).or_default();
        if named.len() < MOST_NAMED {
            named.push(not_warm);
        }
    }
}
