//! Who streams from whom: edges, the slots they take, and rings that must not be.

use super::{MOST_SLOTS, Roster};
use crate::claim::member::{Role, Seat};

impl Roster {
    /// Whether `seat` could hang below `parent` without closing a ring.
    ///
    /// Exact, whatever the nodes report: a parent is in `seat`'s own tree and below it exactly if
    /// that tree's root is `seat` once `seat` hangs on nothing. One without children is below
    /// nobody's parent, so the storm's newcomers never pay for the question.
    pub(in crate::claim) fn may_hang(&mut self, seat: Seat, parent: Seat) -> bool {
        if seat == parent || self.members[seat].children.is_empty() {
            return seat != parent;
        }
        if self.members[seat].parent.is_none() {
            return self.forest.root(parent) != seat;
        }
        let old = self.members[seat].parent;
        self.forest.cut(seat);
        let free = self.forest.root(parent) != seat;
        if let Some(old) = old {
            self.forest.link(seat, old);
        }
        free
    }

    /// Who is at the top of a member's tree.
    pub(in crate::claim) fn head(&mut self, seat: Seat) -> Seat {
        self.forest.root(seat)
    }

    /// Hangs `seat` below `parent` and takes a slot there. The caller has asked
    /// [`Roster::may_hang`].
    pub(in crate::claim) fn attach(&mut self, seat: Seat, parent: Seat, confirmed: bool) {
        self.detach(seat);
        let took_slot = self.members[parent].free > 0;
        let depth = self.members[parent].depth + 1;
        self.forest.link(seat, parent);
        self.update(parent, |member| {
            member.free = member.free.saturating_sub(1);
            member.children.insert(seat);
        });
        self.update(seat, |member| {
            member.role = Role::Following;
            member.parent = Some(parent);
            member.orphan = false;
            member.depth = depth;
            member.confirmed = confirmed;
            member.took_slot = took_slot;
            member.pace.restart();
            member.leaving = false;
        });
    }

    /// Takes `seat` from its parent, which gets its slot back.
    pub(in crate::claim) fn detach(&mut self, seat: Seat) {
        let Some(parent) = self.members[seat].parent else { return };
        let took_slot = self.members[seat].took_slot;
        self.forest.cut(seat);
        self.update(parent, |member| {
            member.free += u32::from(took_slot);
            member.children.remove(&seat);
        });
        self.update(seat, |member| {
            member.parent = None;
            member.leaving = false;
            member.confirmed = false;
            member.took_slot = false;
        });
    }

    /// Notes how many more children a member says it takes. Children that were sent to it and have
    /// not said yet that they arrived may be unknown to it, and are taken off.
    pub(in crate::claim) fn offer(&mut self, seat: Seat, slots: u32) {
        let children: Vec<_> = self.members[seat].children.iter().copied().collect();
        let mut coming = 0;
        for child in children {
            coming += u32::from(!self.members[child].confirmed);
            self.members[child].took_slot = true;
        }
        self.update(seat, |member| member.free = slots.min(MOST_SLOTS).saturating_sub(coming));
    }
}
