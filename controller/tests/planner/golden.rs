//! Plans as text, one file for each situation. `UPDATE_GOLDEN=1 cargo test -p onepull-controller` writes
//! the files anew; read the difference before you commit it.

use std::{collections::BTreeMap, path::PathBuf};

use onepull_controller::{
    planner::{
        CacheId, ConditionReason, Disk, Hold, Inputs, Limits, Node, OnDelete, Plan, Resolution,
        Share, Source, State, Strategy, Trouble, TroubleKind, plan,
    },
    window::Gate,
};

use crate::build::{GIB, after, cache, digest, image, node, noon, report};

const APP: &str = "r.example/app:v1";
const WEB: &str = "r.example/web:v1";

fn check(name: &str, plan: &Plan) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, plan.to_string()).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(plan.to_string(), golden, "{} is not what is planned", path.display());
}

fn pool(count: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> =
        (1..=count).map(|number| node(&format!("gpu-{number}"), "gpu")).collect();
    // The third has the most room.
    nodes[2].disk = Some(Disk { free: 120 * GIB, budget: 100 * GIB });
    nodes
}

fn hold(word: &str, name: &str, source: Source, generation: u64) -> Hold {
    let caches = [CacheId::new("team", "llm")].into();
    Hold { digest: digest(word), refs: [name.into()].into(), source, generation, caches }
}

/// The node was told, and answered.
fn tell(node: &mut Node, hold: Hold, state: State, gib: u64) {
    let mut report = report(state, hold.generation, gib * GIB);
    report.upstream = if hold.source == Source::Upstream { gib * GIB } else { 0 };
    node.reports.insert(hold.digest.clone(), report);
    node.holds.push(hold);
}

#[test]
fn a_fresh_rollout_begins_with_one_seed() {
    let mut nodes = pool(4);
    nodes[3].ready = false;
    nodes.push(node("cpu-1", "cpu"));
    let caches = vec![cache("llm", "gpu", &[(APP, image("app", 4))])];
    let inputs = Inputs { caches, nodes, ..Inputs::default() };
    check("fresh", &plan(&inputs, noon()));
}

#[test]
fn the_others_follow_as_soon_as_the_download_is_announced() {
    let mut nodes = pool(4);
    tell(&mut nodes[2], hold("app", APP, Source::Upstream, 1), State::Warming, 1);
    let caches = vec![cache("llm", "gpu", &[(APP, image("app", 4))])];
    let inputs = Inputs { caches, nodes, ..Inputs::default() };
    check("stream", &plan(&inputs, after(5)));
}

#[test]
fn a_staged_rollout_goes_in_waves_once_the_seed_is_done() {
    let mut nodes = pool(5);
    tell(&mut nodes[2], hold("app", APP, Source::Upstream, 1), State::Warm, 4);
    tell(&mut nodes[0], hold("app", APP, Source::Peers, 1), State::Warming, 2);
    let mut llm = cache("llm", "gpu", &[(APP, image("app", 4))]);
    (llm.strategy, llm.max_parallel) = (Strategy::Staged, Share::Nodes(2));
    llm.ready_when = Share::Percent(50);
    let inputs = Inputs { caches: vec![llm], nodes, ..Inputs::default() };
    check("waves", &plan(&inputs, after(60)));
}

#[test]
fn a_seed_that_fails_is_replaced_by_who_has_most() {
    let mut nodes = pool(4);
    tell(&mut nodes[2], hold("app", APP, Source::Upstream, 1), State::Failed, 2);
    let full = Trouble::new(TroubleKind::DiskFull, "no space left on device");
    nodes[2].reports.get_mut(&digest("app")).unwrap().trouble = Some(full);
    tell(&mut nodes[0], hold("app", APP, Source::Peers, 1), State::Warming, 1);
    tell(&mut nodes[1], hold("app", APP, Source::Peers, 1), State::NeedsUpstream, 2);
    let caches = vec![cache("llm", "gpu", &[(APP, image("app", 4))])];
    let inputs = Inputs { caches, nodes, ..Inputs::default() };
    check("seed-moves", &plan(&inputs, after(30)));
}

#[test]
fn an_old_digest_stays_until_the_new_one_is_everywhere() {
    let mut nodes = pool(3);
    for node in &mut nodes {
        tell(node, hold("old", APP, Source::Peers, 1), State::Warm, 4);
    }
    tell(&mut nodes[2], hold("new", APP, Source::Upstream, 1), State::Warm, 4);
    tell(&mut nodes[0], hold("new", APP, Source::Peers, 1), State::Warming, 1);
    let mut llm = cache("llm", "gpu", &[(APP, image("new", 4))]);
    llm.on_delete = OnDelete::Remove;
    let mut inputs = Inputs { caches: vec![llm], nodes, ..Inputs::default() };
    check("tag-moves", &plan(&inputs, after(60)));
    inputs.nodes[0].holds.pop();
    for node in &mut inputs.nodes[..2] {
        tell(node, hold("new", APP, Source::Peers, 1), State::Warm, 4);
    }
    inputs.nodes[1].reports.get_mut(&digest("old")).unwrap().in_use = true;
    check("tag-moved", &plan(&inputs, after(90)));
}

#[test]
fn what_cannot_be_is_said_in_words_that_help() {
    let mut nodes = pool(4);
    nodes[0].disk = Some(Disk { free: 5 * GIB, budget: 100 * GIB });
    nodes[1].platform = "linux/arm64".into();
    nodes[2].disk = None;
    nodes[3].virtual_node = true;
    let missing = Trouble::new(
        TroubleKind::ImageNotFound,
        "the registry has no such image: check the name, and whether it was pushed",
    );
    let llm = cache("llm", "gpu", &[(APP, image("app", 4)), (WEB, Resolution::Failed(missing))]);
    let mut other = cache("other", "gpu", &[(APP, image("newer", 4))]);
    other.created = after(1);
    let inputs = Inputs { caches: vec![llm, other], nodes, ..Inputs::default() };
    check("trouble", &plan(&inputs, after(60)));
}

#[test]
fn a_closed_window_and_the_operators_limits_hold_work_back() {
    let mut night = cache("night", "gpu", &[(APP, image("app", 4))]);
    night.gate = Gate::Closed { opens: Some(after(36_000)) };
    let mut many = cache("many", "gpu", &[(WEB, image("web", 1)), ("r.example/x", image("x", 1))]);
    many.created = after(1);
    let mut limits = Limits::default();
    limits.namespace.images = Some(1);
    let caches = vec![night, many];
    let inputs = Inputs { caches, nodes: pool(3), limits, ..Inputs::default() };
    check("held-back", &plan(&inputs, noon()));
}

#[test]
fn a_cache_that_is_deleted_takes_its_images_with_it_but_not_those_of_others() {
    let mut nodes = pool(3);
    for node in &mut nodes {
        tell(node, hold("app", APP, Source::Peers, 1), State::Warm, 4);
        tell(node, hold("web", WEB, Source::Peers, 1), State::Warm, 1);
    }
    nodes[1].reports.get_mut(&digest("app")).unwrap().in_use = true;
    let images = [(APP, image("app", 4)), (WEB, image("web", 1))];
    let mut llm = cache("llm", "gpu", &images);
    (llm.deleting, llm.on_delete) = (true, OnDelete::Remove);
    let web = cache("web", "gpu", &images[1..]);
    let inputs = Inputs { caches: vec![llm, web], nodes, ..Inputs::default() };
    check("deleted", &plan(&inputs, noon()));
}

#[test]
fn no_node_selected_is_ready() {
    let caches = vec![cache("llm", "tpu", &[(APP, image("app", 4))])];
    let inputs = Inputs { caches, nodes: pool(3), ..Inputs::default() };
    let plan = plan(&inputs, noon());
    let ready = &plan.caches[&CacheId::new("team", "llm")].conditions.ready;
    assert_eq!((ready.holds, ready.reason), (true, ConditionReason::NoNodesSelected));
    assert_eq!(plan.seeds, []);
    let told: BTreeMap<_, _> = plan.nodes.iter().filter(|(_, node)| !node.is_empty()).collect();
    assert_eq!(told, BTreeMap::new());
}
