//! The deadlines of a request: those of `onepull_mirror::Deadlines`.

use onepull_mirror::Deadlines;

use super::{At, Client, Doing, Event, World, asking::nanos};
use crate::sim::agenda::Nanos;

/// How often deadlines are looked at; they are seconds.
const LOOK: Nanos = 250_000_000;

impl World<'_> {
    pub(super) fn watch_from_now_on(&mut self, at: At, request: u32) {
        self.agenda.after(LOOK, Event::Watch(at, request));
    }

    pub(super) fn watch(&mut self, at: At, request: u32) {
        let part = self.parts(at);
        let over = matches!(
            part.doing,
            Doing::Idle | Doing::Committing(_) | Doing::Complete | Doing::Outside
        );
        if part.request != request || over || self.nodes[at.node].is_dead() {
            return;
        }
        if part.doing != Doing::Leading {
            self.look_at_deadlines(at);
        }
        self.watch_from_now_on(at, request);
    }

    /// A layer that waits for others.
    fn look_at_deadlines(&mut self, at: At) {
        let deadlines = Deadlines::default();
        let (now, part) = (self.now(), self.parts(at));
        let waited = now - part.since;
        let quiet = now.saturating_sub(part.moved);
        let is_following = matches!(part.doing, Doing::Following(_));
        let runtime = self.nodes[at.node].client == Client::Runtime;
        let (have, grew) = (part.have, part.grew.unwrap_or(part.since));
        if runtime && have == 0 && waited >= nanos(deadlines.first_byte)
            || runtime && have > 0 && now - grew >= nanos(deadlines.starved)
        {
            self.go_outside(at);
        } else if is_following && have > 0 && quiet >= nanos(deadlines.pause)
            || is_following && quiet >= nanos(deadlines.arrival)
        {
            // Its parent only waits: the coordinator knows whether to wait on.
            self.follow_next(at);
        } else if !is_following || quiet >= LOOK {
            self.caught_up(at.node);
        }
    }
}
