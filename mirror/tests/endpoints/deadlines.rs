//! Every wait ends in fail open: 404, or an early end, and the runtime goes to the registry.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use onepull_mirror::{Deadlines, Digest};
use tokio::time::{Instant, timeout};

use crate::{
    rigged::{Heard, SAYS, SEARCHES, SENDS, Says, Search, Sends, node, pull},
    support::ask,
};

/// Longer than a request may be without bytes in these tests, on a machine as busy as it may be.
const LONG: Duration = Duration::from_secs(20);

/// Waits that end no request here.
const PATIENT: Deadlines = Deadlines {
    lookup: LONG,
    lookup_unanswered: LONG,
    answer: LONG,
    stall: LONG,
    trickle: LONG,
    pause: LONG,
    claim: LONG,
    claim_unanswered: LONG,
    arrival: LONG,
    // These three give a slot back instead; see `order` and `parked`.
    turn: LONG,
    still: LONG,
    crowded: LONG,
    first_byte: LONG,
    ahead: LONG,
    starved: LONG,
};

/// A wait that is short while all others are long.
const SHORT: Duration = Duration::from_millis(150);

/// In proportion as the real ones are.
const BRIEF: Deadlines = Deadlines {
    lookup: Duration::from_millis(100),
    lookup_unanswered: Duration::from_millis(10),
    answer: Duration::from_millis(300),
    stall: Duration::from_millis(700),
    trickle: Duration::from_millis(1000),
    pause: Duration::from_millis(300),
    claim: Duration::from_millis(150),
    claim_unanswered: Duration::from_millis(10),
    arrival: Duration::from_millis(1000),
    turn: Duration::from_millis(30),
    still: LONG,
    crowded: Duration::from_millis(100),
    first_byte: Duration::from_millis(1000),
    ahead: Duration::from_millis(900),
    starved: Duration::from_millis(1200),
};

/// What the reader may see the bytes before a wait later than the mirror, whose clock counts.
const SEEN_LATE: Duration = Duration::from_millis(20);

/// What a hundred nodes in one process, on two cores that others use, may be late.
const SLACK: Duration = Duration::from_secs(2);

/// A world in which one wait runs out.
struct Row {
    name: &'static str,
    deadlines: Deadlines,
    coordinators: usize,
    says: Says,
    sends: Sends,
    search: Search,
    /// What has run out when the request ends.
    waited: Duration,
    /// Whether bytes came before.
    began: bool,
}

const ROW: Row = Row {
    name: "",
    deadlines: PATIENT,
    coordinators: 0,
    says: Says::Nothing,
    sends: Sends::Nothing,
    search: Search::FindsNobody,
    waited: SHORT,
    began: false,
};

fn rows() -> Vec<Row> {
    let search = Row { search: Search::FindsIt, ..ROW };
    let claim = Row { coordinators: 1, ..ROW };
    vec![
        Row {
            name: "lookup",
            deadlines: Deadlines { lookup: SHORT, ..PATIENT },
            search: Search::NeverEnds,
            ..ROW
        },
        Row { name: "answer", deadlines: Deadlines { answer: SHORT, ..PATIENT }, ..search },
        Row {
            name: "stall",
            deadlines: Deadlines { stall: SHORT, ..PATIENT },
            sends: Sends::Half,
            began: true,
            ..search
        },
        Row { name: "claim", deadlines: Deadlines { claim: SHORT, ..PATIENT }, ..claim },
        Row {
            name: "claim_unanswered",
            deadlines: Deadlines { claim: SHORT, claim_unanswered: SHORT, ..PATIENT },
            coordinators: 2,
            waited: 2 * SHORT,
            ..ROW
        },
        Row {
            name: "arrival",
            deadlines: Deadlines { arrival: SHORT, ..PATIENT },
            says: Says::FollowOnce,
            ..claim
        },
        Row {
            name: "pause",
            deadlines: Deadlines { pause: SHORT, ..PATIENT },
            says: Says::FollowOnce,
            sends: Sends::Half,
            began: true,
            ..claim
        },
        Row {
            name: "first_byte",
            deadlines: Deadlines { first_byte: SHORT, ..PATIENT },
            says: Says::NotYet,
            ..claim
        },
        Row {
            name: "starved",
            deadlines: Deadlines { pause: SHORT / 4, starved: SHORT, ..PATIENT },
            says: Says::Follow,
            sends: Sends::Half,
            began: true,
            ..claim
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wait_that_runs_out_sends_the_runtime_to_the_registry() {
    for row in rows() {
        let Row { name, deadlines, coordinators, says, sends, search, waited, began } = row;
        let node = node(deadlines, coordinators, says, sends, search).await;
        let heard = timeout(LONG, pull(&node, &Digest::sha256(b"wanted"))).await.expect(name);
        let Heard { status, bytes, complete, head, gap } = heard;
        if began {
            assert!(status == StatusCode::OK && bytes > 0 && !complete, "{name}: {heard:?}");
        } else {
            assert_eq!(status, StatusCode::NOT_FOUND, "{name}: {heard:?}");
        }
        let held = if began { gap } else { head };
        assert!(held + SEEN_LATE >= waited && held < LONG / 2, "{name}: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_search_in_vain_the_next_is_short() {
    let lookup = Duration::from_secs(2);
    let deadlines = Deadlines { lookup, lookup_unanswered: SHORT, ..PATIENT };
    let node = node(deadlines, 0, Says::Nothing, Sends::Nothing, Search::NeverEnds).await;
    let held = async |name: &[u8]| pull(&node, &Digest::sha256(name)).await.head;
    assert!(held(b"first").await >= lookup);
    assert!(held(b"second").await < lookup);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_in_whatever_mix_no_request_is_long_without_bytes() {
    let mut worlds = Vec::new();
    for says in SAYS {
        for sends in SENDS {
            worlds.extend(SEARCHES.map(|search| (says, sends, search)));
        }
    }
    let pulls = worlds.into_iter().map(async |world| {
        let (says, sends, search) = world;
        let node = node(BRIEF, 1, says, sends, search).await;
        let pulled = timeout(LONG, pull(&node, &Digest::sha256(b"wanted"))).await;
        let heard = pulled.unwrap_or_else(|_| panic!("{world:?} hangs"));
        assert!(heard.head < BRIEF.first_byte + SLACK, "{world:?}: {heard:?}");
        assert!(heard.gap < BRIEF.starved + SLACK, "{world:?}: {heard:?}");
        let failed_open = heard.status == StatusCode::NOT_FOUND || !heard.complete;
        assert!(failed_open, "{world:?}: {heard:?}");
    });
    join_all(pulls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_waits_itself_keeps_its_follower_no_longer_than_it_may_wait() {
    let deadlines = Deadlines { arrival: SHORT, ..PATIENT };
    let parent = node(deadlines, 0, Says::Nothing, Sends::Nothing, Search::FindsNobody).await;
    let path = format!("/peer/v1/blobs/{}", Digest::sha256(b"wanted"));
    let started = Instant::now();
    let follower = [("onepull-follower", "10.0.0.1:1")];
    let answer = ask(parent.peer, "GET", &path, &follower).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(started.elapsed() >= SHORT && started.elapsed() < LONG / 2);
}
