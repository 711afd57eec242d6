//! Reasons, most of which thousands of items share.

use crate::planner::Reason;

/// All reasons that items have.
#[derive(Debug, Default)]
pub(in crate::planner) struct Reasons(Vec<Reason>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::planner) struct Why(usize);

// === impl Reasons ===

impl Reasons {
    /// Takes it in. Items in a row have the same one mostly, which is kept once then.
    pub(in crate::planner) fn add(&mut self, reason: Reason) -> Why {
        if self.0.last() != Some(&reason) {
            self.0.push(reason);
        }
        Why(self.0.len() - 1)
    }

    pub(in crate::planner) fn get(&self, why: Why) -> &Reason {
        &self.0[why.0]
    }
}
