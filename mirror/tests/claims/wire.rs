//! The wire format, from the outside.

use onepull_mirror::{
    Digest, Peer,
    claim::{
        Advice, Claim, Intent, Parent, Progress, Stage, Verdict,
        wire::{Advices, Answer, Ask, LARGEST_MESSAGE, MOST_REPORTED, Report, WireError},
    },
};
use proptest::{collection::vec, option, prelude::*};
use std::net::{IpAddr, SocketAddr};

use crate::support::{at, blob, following, get, says};

/// How every message is said to be malformed: the message and its causes in one line.
fn complaint(result: Result<impl Sized, WireError>) -> String {
    let error = result.err().expect("an error");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

#[test]
fn a_claim_looks_like_this() {
    let claim = Claim { lost: vec![at(7)], ..get(1) };
    let json = String::from_utf8(Ask { hops: 1, claim }.to_json()).unwrap();
    let digest = blob();
    assert_eq!(
        json,
        format!(r#"{{"v":1,"hops":1,"digest":"{digest}","node":{{"endpoint":"10.0.0.1:29901"}},"#)
            + r#""have":0,"total":1099511627776,"may_lead":true,"intent":"get","#
            + r#""lost":["10.0.0.7:29901"]}"#
    );
}

#[test]
fn the_answers_look_like_this() {
    let peer = Peer { endpoint: at(2), zone: Some("eu-1a".into()) };
    let follow = Verdict::Follow(vec![Parent { peer, have: 5, complete: false }]);
    let expected = [
        (Answer::Verdict(Verdict::Lead), r#"{"v":1,"verdict":"lead"}"#),
        (Answer::LeadAlone, r#"{"v":1,"verdict":"lead","alone":true}"#),
        (Answer::Verdict(Verdict::NotYet), r#"{"v":1,"verdict":"not-yet"}"#),
        (Answer::Redirect(at(3)), r#"{"v":1,"verdict":"redirect","to":"10.0.0.3:29901"}"#),
        (
            Answer::Verdict(follow),
            r#"{"v":1,"verdict":"follow","parents":[{"endpoint":"10.0.0.2:29901","zone":"eu-1a","have":5,"complete":false}]}"#,
        ),
    ];
    for (answer, json) in expected {
        assert_eq!(String::from_utf8(answer.to_json()).unwrap(), json);
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let answer = Answer::parse(br#"{"v":1,"verdict":"lead","mood":"good"}"#).unwrap();
    assert_eq!(answer, Answer::Verdict(Verdict::Lead));
}

#[test]
fn unknown_words_are_named_in_the_error() {
    let complaint = complaint(Answer::parse(br#"{"v":1,"verdict":"perhaps"}"#));
    assert!(complaint.contains("unknown variant `perhaps`"), "{complaint}");
}

#[test]
fn advice_that_is_not_known_here_changes_nothing() {
    let advices = Advices::parse(br#"{"v":1,"advice":["lead","dance","move"]}"#).unwrap();
    assert_eq!(advices, Advices(vec![Advice::Lead, Advice::CarryOn, Advice::Move]));
    assert_eq!(advices.to_json(), br#"{"v":1,"advice":["lead","carry-on","move"]}"#);
}

#[test]
fn another_version_is_named_before_anything_else_is_read() {
    let complaint = complaint(Answer::parse(br#"{"v":2,"answer":"other"}"#));
    assert!(complaint.contains("version 2 are not understood"), "{complaint}");
}

#[test]
fn what_lacks_its_field_is_refused() {
    for json in [r#"{"v":1,"verdict":"redirect"}"#, r#"{"v":1,"verdict":"follow"}"#] {
        assert!(Answer::parse(json.as_bytes()).is_err(), "{json}");
    }
    let report = String::from_utf8(Report(vec![says(1, 2, following(3))]).to_json()).unwrap();
    let orphan = report.replace(r#""parent":"10.0.0.3:29901","#, "");
    assert!(complaint(Report::parse(orphan.as_bytes())).contains(r#""following" needs "parent""#));
}

#[test]
fn addresses_that_no_node_has_are_refused() {
    let json = String::from_utf8(Ask { hops: 0, claim: get(1) }.to_json()).unwrap();
    for bad in ["10.0.0.1", "0.0.0.0:1", "[::]:1", "10.0.0.1:0", "224.0.0.1:5", "node:29901", ""] {
        let json = json.replace("10.0.0.1:29901", bad);
        assert!(matches!(Ask::parse(json.as_bytes()), Err(WireError::Endpoint(_))), "{bad}");
    }
}

#[test]
fn zones_that_no_label_can_have_are_refused() {
    for bad in [String::new(), "a b".into(), "z".repeat(64), "\u{1f4a9}".into()] {
        let node = Peer { endpoint: at(1), zone: Some(bad) };
        let ask = Ask { hops: 0, claim: Claim { node, ..get(1) } };
        assert!(matches!(Ask::parse(&ask.to_json()), Err(WireError::Zone(_))));
    }
}

#[test]
fn lists_hops_and_messages_have_their_bounds() {
    let ask = Ask { hops: 4, claim: get(1) };
    assert!(matches!(Ask::parse(&ask.to_json()), Err(WireError::Hops(4))));
    let entry = r#""10.0.0.9:1","#.repeat(9);
    let lost = format!(r#""lost":[{}]}}"#, entry.trim_end_matches(','));
    let json = String::from_utf8(Ask { hops: 0, claim: get(1) }.to_json()).unwrap();
    let json = json.replace(r#""intent":"get"}"#, &format!(r#""intent":"get",{lost}"#));
    assert!(complaint(Ask::parse(json.as_bytes())).contains("lost has 9 entries"));
    let long = vec![b' '; LARGEST_MESSAGE + 1];
    assert!(matches!(Report::parse(&long), Err(WireError::TooLarge)));
}

#[test]
fn the_largest_report_fits_and_what_is_more_is_left_out() {
    let digest = format!("sha512:{}", "a".repeat(128)).parse().unwrap();
    let endpoint: SocketAddr =
        "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535".parse().unwrap();
    let full = Progress {
        digest,
        node: Peer { endpoint, zone: Some("z".repeat(63)) },
        have: u64::MAX,
        total: Some(u64::MAX),
        state: Stage::Following { parent: endpoint },
        may_lead: false,
        patient: true,
        free_slots: u32::MAX,
    };
    let json = Report(vec![full.clone(); MOST_REPORTED + 1]).to_json();
    assert!(json.len() <= LARGEST_MESSAGE / 2, "{} bytes", json.len());
    assert_eq!(Report::parse(&json).unwrap(), Report(vec![full; MOST_REPORTED]));
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 4]>().prop_map(|seed| Digest::sha256(&seed))
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), 1u16..).prop_filter_map("an address of a node", |(ip, port)| {
        (!ip.is_unspecified() && !ip.is_multicast()).then_some(SocketAddr::new(ip, port))
    })
}

fn peers() -> impl Strategy<Value = Peer> {
    let zones = option::of("[A-Za-z0-9._-]{1,63}");
    (addresses(), zones).prop_map(|(endpoint, zone)| Peer { endpoint, zone })
}

prop_compose! {
    fn asks()(
        digest in digests(), node in peers(), have: u64, may_lead: bool, patient: bool, look: bool, hops in 0u8..=3,
        lost in vec(addresses(), 0..=8), total in option::of(any::<u64>()),
    ) -> Ask {
        let intent = if look { Intent::Look } else { Intent::Get };
        Ask { hops, claim: Claim { digest, node, have, may_lead, patient, intent, lost, total } }
    }
}

prop_compose! {
    fn parents()(peer in peers(), have: u64, complete: bool) -> Parent {
        Parent { peer, have, complete }
    }
}

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Verdict(Verdict::Lead)),
        Just(Answer::LeadAlone),
        Just(Answer::Verdict(Verdict::NotYet)),
        addresses().prop_map(Answer::Redirect),
        vec(parents(), 1..=4).prop_map(|parents| Answer::Verdict(Verdict::Follow(parents))),
    ]
}

fn stages() -> impl Strategy<Value = Stage> {
    prop_oneof![
        Just(Stage::Leading),
        Just(Stage::Queued),
        addresses().prop_map(|parent| Stage::Following { parent }),
        Just(Stage::Complete),
        Just(Stage::Gone),
    ]
}

prop_compose! {
    fn progress()(
        digest in digests(), node in peers(), have: u64, total in option::of(any::<u64>()),
        state in stages(), may_lead: bool, patient: bool, free_slots: u32,
    ) -> Progress {
        Progress { digest, node, have, total, state, may_lead, patient, free_slots }
    }
}

proptest! {
    #[test]
    fn claims_round_trip(ask in asks()) {
        prop_assert_eq!(Ask::parse(&ask.to_json()).unwrap(), ask);
    }

    #[test]
    fn answers_round_trip(answer in answers()) {
        prop_assert_eq!(Answer::parse(&answer.to_json()).unwrap(), answer);
    }

    #[test]
    fn reports_round_trip(entries in vec(progress(), 0..6)) {
        let report = Report(entries);
        prop_assert_eq!(Report::parse(&report.to_json()).unwrap(), report);
    }

    #[test]
    fn advices_round_trip(picks in vec(0usize..3, 0..64)) {
        let advice = |pick: usize| [Advice::CarryOn, Advice::Lead, Advice::Move][pick];
        let advices = Advices(picks.into_iter().map(advice).collect());
        prop_assert_eq!(Advices::parse(&advices.to_json()).unwrap(), advices);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = (Ask::parse(&bytes), Answer::parse(&bytes));
        let _ = (Report::parse(&bytes), Advices::parse(&bytes));
    }

    #[test]
    fn no_spoiled_message_makes_the_reader_panic(ask in asks(), at: usize, byte: u8, cut: usize) {
        let mut bytes = ask.to_json();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(cut % (2 * length));
        let _ = Ask::parse(&bytes);
    }
}
