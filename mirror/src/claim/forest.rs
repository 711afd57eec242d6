//! Who streams from whom, as a forest that can tell in logarithmic time whether an edge would
//! close a ring.
//!
//! A link-cut forest (Sleator and Tarjan, "A data structure for dynamic trees", 1983) without
//! re-rooting: each root-to-node path is cut into pieces, each piece is a splay tree ordered by
//! depth. `link`, `cut` and `root` cost O(log n) amortised, also on the chain of thousands that a
//! storm builds. A plain walk to the root would cost the length of that chain.

/// The trees, over the numbers `0..n`.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    #[cfg(test)]
    steps: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The splay tree's parent; for its topmost node, the node above the piece.
    above: Option<usize>,
    /// Nearer to the root, and farther from it.
    sides: [Option<usize>; 2],
}

const NEARER: usize = 0;
const FARTHER: usize = 1;

// === impl Forest ===

impl Forest {
    /// Makes room for `node`, alone in its tree. A node used before must have been cut from its
    /// parent and its children.
    pub(super) fn plant(&mut self, node: usize) {
        if self.nodes.len() <= node {
            self.nodes.resize(node + 1, Node::default());
        }
    }

    /// Hangs the root `child` below `parent`, which must be of another tree.
    pub(super) fn link(&mut self, child: usize, parent: usize) {
        self.access(child);
        self.nodes[child].above = Some(parent);
    }

    /// Takes `child` and all below it from its parent; it becomes a root.
    pub(super) fn cut(&mut self, child: usize) {
        self.access(child);
        if let Some(nearer) = self.nodes[child].sides[NEARER].take() {
            self.nodes[nearer].above = None;
        }
    }

    /// The root of the tree that holds `node`.
    pub(super) fn root(&mut self, node: usize) -> usize {
        self.access(node);
        let mut root = node;
        while let Some(nearer) = self.nodes[root].sides[NEARER] {
            root = nearer;
        }
        self.splay(root);
        root
    }

    /// Makes the path from the root to `node` one piece, with `node` on top.
    fn access(&mut self, node: usize) {
        let mut below = None;
        let mut next = Some(node);
        while let Some(top) = next {
            self.splay(top);
            self.nodes[top].sides[FARTHER] = below;
            below = Some(top);
            next = self.nodes[top].above;
        }
        self.splay(node);
    }

    fn splay(&mut self, node: usize) {
        while let Some((parent, side)) = self.within(node) {
            match self.within(parent) {
                None => self.rotate(node, parent, side),
                Some((grandparent, outer)) => {
                    let straight = outer == side;
                    if straight {
                        self.rotate(parent, grandparent, outer);
                        self.rotate(node, parent, side);
                    } else {
                        self.rotate(node, parent, side);
                        self.rotate(node, grandparent, outer);
                    }
                }
            }
        }
    }

    /// The parent of `node` within its piece, and the side it hangs on.
    fn within(&self, node: usize) -> Option<(usize, usize)> {
        let above = self.nodes[node].above?;
        let side = self.nodes[above].sides.iter().position(|side| *side == Some(node))?;
        Some((above, side))
    }

    /// Puts `node`, which hangs on `side` of `parent`, in its place.
    fn rotate(&mut self, node: usize, parent: usize, side: usize) {
        #[cfg(test)]
        {
            self.steps += 1;
        }
        let top = self.nodes[parent].above;
        if let Some((grandparent, outer)) = self.within(parent) {
            self.nodes[grandparent].sides[outer] = Some(node);
        }
        let inner = self.nodes[node].sides[1 - side];
        self.nodes[parent].sides[side] = inner;
        if let Some(inner) = inner {
            self.nodes[inner].above = Some(parent);
        }
        self.nodes[node].sides[1 - side] = Some(parent);
        self.nodes[parent].above = Some(node);
        self.nodes[node].above = top;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by walking.
    fn walk(parents: &[Option<usize>], mut node: usize) -> usize {
        while let Some(parent) = parents[node] {
            node = parent;
        }
        node
    }

    #[test]
    fn a_chain_of_thousands_costs_a_logarithm_per_question() {
        const NODES: usize = 5_000;
        let mut forest = Forest::default();
        forest.plant(NODES);
        for node in 1..NODES {
            forest.link(node, node - 1);
        }
        for node in (0..NODES).rev() {
            assert_eq!(forest.root(node), 0);
        }
        assert!(forest.steps < NODES * 3 * 13, "{} steps", forest.steps);
    }

    proptest! {
        #[test]
        fn the_root_is_what_a_walk_would_find(
            moves in proptest::collection::vec((0usize..24, 0usize..24), 0..200)
        ) {
            let mut forest = Forest::default();
            forest.plant(23);
            let mut parents = [None; 24];
            for (child, parent) in moves {
                if parents[child].take().is_some() {
                    forest.cut(child);
                }
                prop_assert_eq!(forest.root(parent), walk(&parents, parent));
                if forest.root(parent) != child {
                    forest.link(child, parent);
                    parents[child] = Some(parent);
                }
                for node in 0..24 {
                    prop_assert_eq!(forest.root(node), walk(&parents, node));
                }
            }
        }
    }
}
