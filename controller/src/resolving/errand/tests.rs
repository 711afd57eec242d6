use onepull_api::PlatformImage;

use super::*;
use crate::convert::{Said, Told};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn digest(number: u32) -> String {
    format!("sha256:{number:064}")
}

fn errand(image: &str) -> Errand {
    let refusal = Failure::new(TroubleKind::CredentialRefused, "refused");
    Errand::new(&image.into(), &["linux/amd64".into()].into(), refusal)
}

fn node(name: &str, logins: &[&str]) -> Told {
    let logins = logins.iter().map(ToString::to_string).collect();
    Told {
        name: name.to_owned(),
        uid: None,
        generation: None,
        zone: None,
        holds: Vec::new(),
        removals: Vec::new(),
        questions: Vec::new(),
        said: Some(Said { logins, ..Said::default() }),
    }
}

fn delegates(nodes: &[Told]) -> Vec<Delegate<'_>> {
    nodes.iter().filter_map(Delegate::new).collect()
}

/// What the node answers: a digest, or a reason and a sentence.
fn answers(node: &mut Told, question: &ImageQuestion, said: Result<u32, NodeReason>) {
    let image = |number| PlatformImage {
        platform: "linux/amd64".into(),
        manifest: digest(number),
        compressed_bytes: 7,
        disk_bytes: 9,
    };
    let answer = ImageAnswer {
        digest: said.ok().map(digest),
        images: said.ok().map(image).into_iter().collect(),
        reason: said.err(),
        message: said.err().map(|_| "no such tag".into()),
        ..ImageAnswer::to(question)
    };
    node.said.get_or_insert_default().answers.push(answer);
}

fn refusal(asked: Option<Asked>) -> String {
    asked.expect("it has ended").expect_err("in vain").trouble.to_string()
}

#[test]
fn a_node_that_may_be_let_in_is_asked_and_its_answer_is_the_registrys() {
    let mut nodes = [node("a", &["other.example"]), node("b", &["*.example/team"]), node("c", &[])];
    let mut errand = errand("r.example/team/app:v1");
    assert!(errand.give(&delegates(&nodes), &[], NOW).is_none());
    let given = errand.given().unwrap().clone();
    assert_eq!((given.node.as_str(), given.question.asked.0), ("b", NOW));
    assert!(errand.hear(&delegates(&nodes), NOW).is_none());

    let old =
        ImageQuestion { asked: Time(NOW - SignedDuration::from_secs(9)), ..given.question.clone() };
    answers(&mut nodes[1], &old, Ok(1));
    assert!(errand.hear(&delegates(&nodes), NOW).is_none(), "an answer to an older question");
    answers(&mut nodes[1], &given.question, Ok(2));
    let resolved = errand.hear(&delegates(&nodes), NOW).unwrap().unwrap();
    assert_eq!(resolved.digest.to_string(), digest(2));
    assert_eq!((resolved.images[0].compressed_bytes, resolved.images[0].disk_bytes), (7, 9));
}

#[test]
fn what_a_node_is_told_instead_names_the_node() {
    let mut nodes = [node("a", &["*.example"])];
    let mut errand = errand("r.example/app:v1");
    assert!(errand.give(&delegates(&nodes), &[], NOW).is_none());
    let question = errand.given().unwrap().question.clone();
    answers(&mut nodes[0], &question, Err(NodeReason::ImageNotFound));
    let failure = errand.hear(&delegates(&nodes), NOW).unwrap().unwrap_err();
    assert_eq!(failure.trouble.kind, TroubleKind::ImageNotFound);
    assert_eq!(failure.trouble.to_string(), "node a: no such tag");
}

#[test]
fn a_digest_is_not_answered_by_another() {
    let mut nodes = [node("a", &["*.example"])];
    let mut errand = errand(&format!("r.example/app@{}", digest(1)));
    assert!(errand.give(&delegates(&nodes), &[], NOW).is_none());
    let question = errand.given().unwrap().question.clone();
    answers(&mut nodes[0], &question, Ok(2));
    let failure = errand.hear(&delegates(&nodes), NOW).unwrap().unwrap_err();
    assert_eq!(failure.trouble.kind, TroubleKind::ContentMismatch);
}

#[test]
fn without_a_node_for_it_the_refusal_stands() {
    let mut errand = errand("r.example/app:v1");
    assert_eq!(refusal(errand.give(&[], &[], NOW)), "refused");
}

#[test]
fn a_node_that_keeps_silent_or_goes_is_replaced_and_three_are_enough() {
    let nodes: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| node(name, &["*.example"])).into();
    let mut errand = errand("r.example/app:v1");
    let mut now = NOW;
    assert!(errand.give(&delegates(&nodes), &[], now).is_none());
    assert_eq!(errand.given().unwrap().node, "a");
    assert!(errand.hear(&delegates(&nodes[1..]), now).is_none(), "a went");
    let mut asked = Vec::new();
    while errand.give(&delegates(&nodes[1..]), &[], now).is_none() {
        asked.push(errand.given().unwrap().node.clone());
        assert!(errand.hear(&delegates(&nodes[1..]), now + LIMIT / 2).is_none());
        assert!(errand.given().is_some(), "there is time left");
        now += LIMIT;
        assert!(errand.hear(&delegates(&nodes[1..]), now).is_none());
    }
    assert_eq!(asked, ["b", "c", "d"]);
    let said = refusal(errand.give(&delegates(&nodes[1..]), &[], now));
    assert_eq!(said, "refused; asked in its place, b, c, d gave no answer in 4 min");
}

#[test]
fn one_question_is_asked_once_and_one_node_is_not_asked_everything() {
    let nodes = [node("a", &["*.example"]), node("b", &["*.example"])];
    let mut given: Vec<Given> = Vec::new();
    for number in 0..=2 * MAX_QUESTIONS {
        let mut errand = errand(&format!("r.example/app:v{number}"));
        assert!(errand.give(&delegates(&nodes), &given, NOW).is_none());
        given.extend(errand.given().cloned());
        let mut same = super::tests::errand(&format!("r.example/app:v{number}"));
        assert!(same.give(&delegates(&nodes), &given, NOW + LIMIT / 2).is_none());
        assert_eq!(same.given(), errand.given());
    }
    assert_eq!(given.len(), 2 * MAX_QUESTIONS, "the last waits");
    let of_a = given.iter().filter(|given| given.node == "a").count();
    assert_eq!(of_a, MAX_QUESTIONS);
}

#[test]
fn who_takes_over_goes_on_with_the_node_that_was_asked() {
    let mut nodes = [node("a", &["*.example"]), node("b", &["*.example"])];
    let mut before = errand("r.example/app:v1");
    assert!(before.give(&delegates(&nodes[1..]), &[], NOW).is_none());
    nodes[1].questions.push(before.given().unwrap().question.clone());
    let mut after = errand("r.example/app:v1");
    assert!(after.give(&delegates(&nodes), &[], NOW + LIMIT / 2).is_none());
    assert_eq!(after.given(), before.given());
}
