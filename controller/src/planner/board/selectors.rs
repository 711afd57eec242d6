//! Which nodes a selector selects, by an index of labels.

use std::{collections::HashMap, sync::Arc};

use crate::planner::{Node, Selector};

/// The nodes that have a label, by key and value, in the order of nodes.
pub(super) struct Selectors<'a> {
    nodes: &'a [&'a Node],
    with: HashMap<(&'a str, &'a str), Vec<usize>>,
    known: HashMap<&'a Selector, Arc<[usize]>>,
}

// === impl Selectors ===

impl<'a> Selectors<'a> {
    /// Indexes the labels that some selector names; nodes have many more.
    pub(super) fn new(
        nodes: &'a [&'a Node],
        selectors: impl Iterator<Item = &'a Selector>,
    ) -> Self {
        let labels = selectors.flatten().map(|(key, value)| (&**key, &**value));
        let mut with: HashMap<_, Vec<usize>> = labels.map(|label| (label, Vec::new())).collect();
        for ((key, value), having) in &mut with {
            // Mostly the length tells a key from others; to look it up means to read some of them.
            let matching = |node: &Node| {
                let found = node.labels.iter().find(|(other, _)| ***other == **key);
                found.is_some_and(|(_, other)| **other == **value)
            };
            having.extend((0..nodes.len()).filter(|node| matching(nodes[*node])));
        }
        Self { nodes, with, known: HashMap::new() }
    }

    /// The nodes that it selects, in their order.
    pub(super) fn select(&mut self, selector: &'a Selector) -> Arc<[usize]> {
        if let Some(known) = self.known.get(selector) {
            return known.clone();
        }
        let selected = self.find(selector);
        self.known.insert(selector, selected.clone());
        selected
    }

    fn find(&self, selector: &Selector) -> Arc<[usize]> {
        let rarest = selector
            .iter()
            .filter_map(|(key, value)| self.with.get(&(&**key, &**value)))
            .min_by_key(|having| having.len());
        let Some(rarest) = rarest else { return (0..self.nodes.len()).collect() };
        let has =
            |node: &Node, (key, value): (&Arc<str>, &Arc<str>)| node.labels.get(key) == Some(value);
        let has_all = |node: &&usize| selector.iter().all(|label| has(self.nodes[**node], label));
        rarest.iter().filter(has_all).copied().collect()
    }
}
