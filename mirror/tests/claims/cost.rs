//! What a claim costs: members looked at, which must not grow with their number.

use onepull_mirror::claim::{Claim, Stage};

use crate::support::{Room, at, following, get, node};

/// The most that one claim may look at: three places, of up to four kinds, sixteen of each.
const MOST_LOOKED_AT: u64 = 3 * 4 * 16;

fn zone(number: u16) -> Option<&'static str> {
    [Some("a"), Some("b"), Some("c"), None][usize::from(number % 4)]
}

/// The most expensive of some claims.
fn dearest(room: &mut Room, claims: impl IntoIterator<Item = Claim>) -> u64 {
    let mut most = 0;
    for claim in claims {
        let before = room.coordinator.counters().looked_at;
        room.claim(&claim);
        most = most.max(room.coordinator.counters().looked_at - before);
    }
    most
}

#[test]
fn a_newcomer_costs_the_same_among_ten_and_five_thousand() {
    for members in [10, 100, 1000, 5000] {
        let mut room = Room::new();
        let claims = (0..members).map(|id| Claim { node: node(id, zone(id)), ..get(id) });
        assert!(dearest(&mut room, claims) <= 8, "{members} members");
    }
}

#[test]
fn coming_back_in_mid_blob_costs_the_same_among_ten_and_five_thousand() {
    for members in [10, 100, 1000, 5000] {
        let mut room = Room::chain(members);
        let have = |id| u64::from(members.max(1000) - id);
        let again = |id: u16| Claim { have: have(id), lost: vec![at(id - 1)], ..get(id) };
        let claims = (1..members).step_by(3).map(again).collect::<Vec<_>>();
        assert!(dearest(&mut room, claims) <= MOST_LOOKED_AT, "{members} members");
    }
}

#[test]
fn a_node_whose_descendants_are_the_latest_pays_no_more() {
    for members in [10, 100, 1000, 5000] {
        let mut room = Room::new();
        for id in 0..members {
            room.get(id);
        }
        room.says(1, 0, following(0));
        room.says(0, 0, Stage::Leading);
        let claim = Claim { lost: vec![at(0)], ..get(1) };
        assert!(dearest(&mut room, [claim]) <= MOST_LOOKED_AT, "{members} members");
    }
}
