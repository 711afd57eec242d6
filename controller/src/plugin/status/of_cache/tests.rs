//! What people see of a rollout.

use onepull_api::{NodeImageState, NotWarmNode, NotWarmReason, Source};

use super::*;
use crate::plugin::{
    standing::Word,
    testing::{cache, check, desired, held, later, name, node, node_with},
};

fn rollout() -> (ImageCache, Vec<NodeImageCache>) {
    let mut seed = node_with("gpu-1", "app", NodeImageState::Warm);
    seed.spec.images[0].source = Source::Upstream;
    let held = &mut seed.status.as_mut().unwrap().images[0];
    (held.bytes_from_upstream, held.bytes_from_peers) = (held.bytes_done, 0);
    let quiet = node_with("gpu-4", "app", NodeImageState::Warming);
    let other = node("cpu-1", Vec::new(), Vec::new());
    let nodes = vec![seed, node_with("gpu-2", "app", NodeImageState::Warming), quiet, other];
    (cache("models", "r.example/app:v1"), nodes)
}

#[test]
fn a_rollout_is_shown_with_each_node_and_what_it_got_from_whom() {
    let (cache, nodes) = rollout();
    let answer = OneCache::of(&cache, &nodes, later(75));
    check("status-one", &(answer.text(false) + "---\n" + &answer.text(true)));
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["nodes"][0]["state"], "Warming");
    assert_eq!(json["images"][0]["bytesFromRegistry"], 256 << 20);
    assert_eq!(json["cache"]["upstream"], "1.00x");
}

#[test]
fn on_a_small_terminal_those_that_lack_it_are_shown_and_the_others_counted() {
    let (cache, nodes) = rollout();
    let text = OneCache::of(&cache, &nodes, later(75)).shortened(2).text(false);
    assert!(text.contains("gpu-2") && !text.contains("gpu-1  Warm "), "{text}");
    assert!(text.contains("and 2 more nodes that the cache selects"), "{text}");
}

#[test]
fn a_node_that_is_warm_is_so_before_the_controller_has_heard_of_it() {
    let (cache, mut nodes) = rollout();
    nodes[1] = node_with("gpu-2", "app", NodeImageState::Warm);
    let answer = OneCache::of(&cache, &nodes, later(75));
    let gpu_2 = answer.nodes.iter().find(|row| row.name == "gpu-2").unwrap();
    assert_eq!(gpu_2.standing.state, Word::Warm);
}

#[test]
fn a_node_that_lacks_an_image_that_it_was_not_told_of_is_not_warm() {
    let mut cache = cache("models", "r.example/app:v1");
    let status = cache.status.as_mut().unwrap();
    status.nodes[0].desired = 2;
    status.not_warm_nodes = vec![NotWarmNode {
        name: "gpu-1".into(),
        reason: NotWarmReason::OverDiskBudget,
        image: Some(name("web")),
        message: Some("it needs 3.0 GiB".into()),
    }];
    let nodes = [node("gpu-1", vec![desired("app")], vec![held("app", NodeImageState::Warm)])];
    let answer = OneCache::of(&cache, &nodes, later(0));
    let row = &answer.nodes[0];
    assert_eq!(row.standing.state, Word::Lacks(NotWarmReason::OverDiskBudget));
    assert_eq!((row.images_warm, row.images_desired), (1, 2));
}
