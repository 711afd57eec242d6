//! Putting a member into every index that its state asks for, and taking it out.

use std::cmp::Reverse;

use super::Roster;
use crate::claim::member::{Filed, Role, Seat};

impl Roster {
    pub(super) fn file(&mut self, seat: Seat) {
        let filed = self.members[seat].keys(seat);
        let member = &mut self.members[seat];
        member.filed = filed;
        self.holders += usize::from(member.role == Role::Complete);
        if filed.apart {
            self.slow.insert(seat);
        }
        if let Some(place) = filed.place {
            self.everywhere.put(&place);
            let zone = &member.peer.zone;
            match self.zones.get_mut(zone) {
                Some(shelf) => shelf.put(&place),
                None => self.zones.entry(zone.clone()).or_default().put(&place),
            }
        }
        if let Some(have) = filed.heir {
            self.heirs.insert((Reverse(have), member.order, seat));
        }
        if let Some(dies) = filed.dies {
            self.silences.insert((dies, seat));
        }
        if filed.queues {
            self.queue.insert((member.peer.endpoint, seat));
        }
    }

    pub(super) fn unfile(&mut self, seat: Seat) {
        let member = &mut self.members[seat];
        let Filed { apart, place, heir, dies, queues } = std::mem::take(&mut member.filed);
        self.holders -= usize::from(member.role == Role::Complete);
        if apart {
            self.slow.remove(&seat);
        }
        if let Some(place) = place {
            self.everywhere.take(&place);
            let zone = &member.peer.zone;
            if let Some(shelf) = self.zones.get_mut(zone) {
                shelf.take(&place);
                if shelf.is_empty() {
                    self.zones.remove(zone);
                }
            }
        }
        if let Some(have) = heir {
            self.heirs.remove(&(Reverse(have), member.order, seat));
        }
        if let Some(dies) = dies {
            self.silences.remove(&(dies, seat));
        }
        if queues {
            self.queue.remove(&(member.peer.endpoint, seat));
        }
    }
}
