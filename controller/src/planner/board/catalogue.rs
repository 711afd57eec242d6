//! Finds the groups and items that lines, lists and reports mean.

use std::collections::HashMap;

use super::{Board, Group, Item, Line, Placing, Stray};
use crate::planner::{Content, Digest, Hold, Platform, Reason, Resolution, Resolved};

/// Names of one image on one node, which the node's object has room for; a name for each of two or three
/// caches is the rule.
pub(in crate::planner) const MOST_NAMES: usize = 32;

/// Finds groups by what they are, and items by their group.
pub(super) struct Catalogue<'a> {
    digests: HashMap<&'a Digest, usize>,
    platforms: HashMap<&'a Platform, usize>,
    platform_of: Vec<usize>,
    groups: HashMap<(usize, usize), usize>,
    /// By line and platform: a large cluster asks 100,000 times.
    groups_of: Vec<Option<usize>>,
    /// By group: the item that was made last.
    last: Vec<usize>,
    /// Nodes that report images which nobody wants there.
    others: Vec<usize>,
}

// === impl Catalogue ===

impl<'a> Catalogue<'a> {
    pub(super) fn new(board: &Board<'a>) -> Self {
        let mut digests = HashMap::new();
        for line in &board.lines {
            if let Some(Resolution::Resolved(resolved)) = line.resolution {
                let next = digests.len();
                digests.entry(&resolved.digest).or_insert(next);
            }
        }
        let mut platforms = HashMap::new();
        let mut platform_of = Vec::with_capacity(board.nodes.len());
        for node in &board.nodes {
            let next = platforms.len();
            platform_of.push(*platforms.entry(&node.platform).or_insert(next));
        }
        let groups_of = vec![None; board.lines.len() * platforms.len()];
        let (groups, last, others) = (HashMap::new(), Vec::new(), Vec::new());
        Self { digests, platforms, platform_of, groups, groups_of, last, others }
    }

    /// The item of a node that a line is part of.
    pub(super) fn item(
        &mut self,
        board: &mut Board<'a>,
        first: usize,
        node: usize,
        line: usize,
        resolved: &'a Resolved,
    ) -> Placing {
        let slot = line * self.platforms.len() + self.platform_of[node];
        let group = match self.groups_of[slot] {
            Some(group) => group,
            None => {
                let platform = &board.nodes[node].platform;
                let Some(content) = resolved.platforms.get(platform) else {
                    return Placing::Not(Reason::PlatformMissing { platform: platform.clone() });
                };
                let group = self.group(board, (&resolved.digest, platform, content), line);
                board.lines[line].groups.push(group);
                *self.groups_of[slot].insert(group)
            }
        };
        let item = self.last[group];
        if item >= first && item < board.items.len() {
            let lines = &mut board.items[item].lines;
            if lines.len() >= MOST_NAMES {
                return Placing::Not(Reason::LimitReached { namespace: None });
            }
            lines.push(line);
            return Placing::Item(item);
        }
        let item = board.items.len();
        self.last[group] = item;
        board.items.push(Item::new(node, group, line));
        board.groups[group].items.push(item);
        Placing::Item(item)
    }

    fn group(
        &mut self,
        board: &mut Board<'a>,
        (digest, platform, content): (&'a Digest, &'a Platform, &'a Content),
        line: usize,
    ) -> usize {
        let key = (self.digests[digest], self.platforms[platform]);
        *self.groups.entry(key).or_insert_with(|| {
            let name = board.lines[line].name;
            board.groups.push(Group::new(digest, platform, name, content));
            self.last.push(usize::MAX);
            board.groups.len() - 1
        })
    }

    fn known_group(&self, digest: &Digest, platform: &Platform) -> Option<usize> {
        let key = (*self.digests.get(digest)?, *self.platforms.get(platform)?);
        self.groups.get(&key).copied()
    }

    /// Takes in what the node was told and what it reports.
    pub(super) fn look_at(&mut self, board: &mut Board<'a>, first: usize, index: usize) {
        let node = board.nodes[index];
        let mut next = 0;
        for hold in &node.holds {
            match position(board, first, next, &hold.digest) {
                Some(item) => {
                    board.items[first + item].take_in(hold);
                    next = item + 1;
                }
                None => {
                    let report = node.reports.get(&hold.digest);
                    let undecided = undecided(board, index, hold);
                    board.strays.push(Stray { node: index, hold, report, group: None, undecided });
                }
            }
        }
        let mut known = 0;
        for item in &mut board.items[first..] {
            let group = &mut board.groups[item.group];
            item.report = node.reports.get(group.digest);
            known += usize::from(item.report.is_some());
            group.held |= node.is_available() && item.report.is_some_and(|report| report.complete);
        }
        if known < node.reports.len() {
            self.others.push(index);
        }
    }

    /// Notes which images some available node can give to others, whether it is meant to hold them or
    /// not, and which images that somebody wants elsewhere are strays.
    pub(super) fn look_around(&self, board: &mut Board<'a>) {
        let others = self.others.iter().map(|node| board.nodes[*node]);
        for node in others.filter(|node| node.is_available()) {
            for (digest, _) in node.reports.iter().filter(|(_, report)| report.complete) {
                if let Some(group) = self.known_group(digest, &node.platform) {
                    board.groups[group].held = true;
                }
            }
        }
        for stray in &mut board.strays {
            let platform = &board.nodes[stray.node].platform;
            stray.group = self.known_group(&stray.hold.digest, platform);
        }
    }
}

/// The caches that the node was told of this image for, and for which it is not known what they want: a
/// registry has not answered, or is down.
fn undecided(board: &Board<'_>, node: usize, hold: &Hold) -> Vec<usize> {
    let wants = board.wants[board.wants_of[node].clone()].iter();
    let lines = wants.map(|want| &board.lines[want.line]);
    let asks = |line: &&Line<'_>| {
        !matches!(line.resolution, Some(Resolution::Resolved(_)))
            && hold.refs.contains(line.name)
            && hold.caches.contains(&board.caches[line.cache].id)
    };
    let mut caches: Vec<usize> = lines.filter(asks).map(|line| line.cache).collect();
    caches.dedup();
    caches
}

/// The item of that digest among those from `first` on, beginning at the one that is probably it: a
/// node's list is in the order of its items.
fn position(board: &Board<'_>, first: usize, next: usize, digest: &Digest) -> Option<usize> {
    let items = &board.items[first..];
    let is_it = |item: &Item<'_>| board.groups[item.group].digest == digest;
    let next = next.min(items.len());
    let later = items[next..].iter().position(is_it).map(|item| next + item);
    later.or_else(|| items[..next].iter().position(is_it))
}
