//! The lines that an item is part of: nearly always one, and never none.

/// Indices of lines, in their order. One costs no allocation: a large cluster has 100,000 items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::planner) struct ItemLines {
    first: usize,
    rest: Vec<usize>,
}

// === impl ItemLines ===

impl ItemLines {
    pub(super) fn new(first: usize) -> Self {
        Self { first, rest: Vec::new() }
    }

    pub(super) fn push(&mut self, line: usize) {
        self.rest.push(line);
    }

    pub(in crate::planner) fn len(&self) -> usize {
        1 + self.rest.len()
    }

    pub(in crate::planner) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }
}
