//! From the lines that select a node to the images that it is to hold.

use super::{
    Board, Group, Item, Placing, Stage, Standing, Want, catalogue::Catalogue, item_lines::ItemLines,
};
use crate::planner::{
    Content, Digest, Hold, ImageRef, Node, Platform, Reason, Resolution, Resolved, Source,
};

/// Places the lines of each node.
pub(super) fn place<'a>(board: &mut Board<'a>, lines_of: &[Vec<usize>]) {
    let mut catalogue = Catalogue::new(board);
    for (node, lines) in lines_of.iter().enumerate() {
        let (wants, items) = (board.wants.len(), board.items.len());
        for line in lines {
            let placing = match digest_for(board, wants, board.nodes[node], *line) {
                Ok(resolved) => catalogue.item(board, items, node, *line, resolved),
                Err(reason) => Placing::Not(reason),
            };
            board.wants.push(Want { line: *line, placing });
        }
        board.wants_of.push(wants..board.wants.len());
        board.items_of.push(items..board.items.len());
        catalogue.look_at(board, items, node);
    }
    catalogue.look_around(board);
}

/// What the line stands for on this node.
fn digest_for<'a>(
    board: &Board<'a>,
    first_want: usize,
    node: &Node,
    line: usize,
) -> Result<&'a Resolved, Reason> {
    if node.virtual_node {
        return Err(Reason::VirtualNode);
    }
    match board.lines[line].resolution {
        None => Err(Reason::WaitingForResolution),
        Some(Resolution::Failed(trouble)) => Err(Reason::Failed(trouble.clone())),
        Some(Resolution::Resolved(resolved)) => match rival(board, first_want, line, resolved) {
            Some(rival) => Err(Reason::TagConflict { with: board.caches[rival].id.clone() }),
            None => Ok(resolved),
        },
    }
}

/// The older cache that means another digest by the same name on this node.
fn rival(board: &Board<'_>, first: usize, line: usize, resolved: &Resolved) -> Option<usize> {
    let name = board.lines[line].name;
    if !board.lines[line].contested {
        return None;
    }
    board.wants[first..].iter().find_map(|want| {
        let Placing::Item(item) = want.placing else { return None };
        let other = &board.lines[want.line];
        let disagrees = other.name == name && board.group_of(item).digest != &resolved.digest;
        disagrees.then_some(other.cache)
    })
}

// === impl Item ===

impl<'a> Item<'a> {
    pub(super) fn new(node: usize, group: usize, line: usize) -> Self {
        Self {
            node,
            group,
            lines: ItemLines::new(line),
            told: None,
            report: None,
            standing: Standing::Free,
            source: Source::Peers,
        }
    }

    pub(super) fn take_in(&mut self, hold: &'a Hold) {
        self.told = Some(hold);
        self.source = hold.source;
    }
}

// === impl Group ===

impl<'a> Group<'a> {
    pub(super) fn new(
        digest: &'a Digest,
        platform: &'a Platform,
        name: &'a ImageRef,
        content: &'a Content,
    ) -> Self {
        let (items, seed) = (Vec::new(), None);
        let (held, stage, next_seed) = (false, Stage::Missing, None);
        Self { digest, platform, name, content, items, held, seed, stage, next_seed }
    }
}
