//! Single behaviours, each in a cluster that does what plans say.

use jiff::SignedDuration;
use onepull_controller::{
    planner::{
        CacheId, ConditionReason, Disk, Happening, Inputs, NodeName, OnDelete, Parting, Plan,
        Resolution, Source, State, Trouble, TroubleKind,
    },
    window::Gate,
};

use crate::{
    build::{GIB, cache, digest, image, labels, node},
    world::World,
};

pub(crate) const APP: &str = "r.example/app:v1";

pub(crate) fn world(nodes: usize) -> World {
    let mut world = World::new();
    for number in 0..nodes {
        world.add(node(&format!("node-{number}"), "gpu"));
    }
    world.inputs.caches.push(cache("llm", "gpu", &[(APP, image("app", 1))]));
    world
}

pub(crate) fn step(world: &mut World) -> Plan {
    let plan = world.plan();
    world.carry_out(&plan);
    world.tick(10);
    plan
}

pub(crate) fn run(world: &mut World, steps: usize) -> Plan {
    (0..steps).for_each(|_| drop(step(world)));
    step(world)
}

pub(crate) fn seed(inputs: &Inputs) -> Option<NodeName> {
    let is_seed = |node: &&onepull_controller::planner::Node| {
        node.holds.iter().any(|hold| hold.source == Source::Upstream)
    };
    inputs.nodes.iter().find(is_seed).map(|node| node.name.clone())
}

pub(crate) fn warm(plan: &Plan) -> usize {
    plan.caches[&CacheId::new("team", "llm")].nodes.warm
}

pub(crate) fn names(plan: &Plan) -> Vec<&'static str> {
    let name = |what: &Happening| match what {
        Happening::SeedChosen { .. } => "chosen",
        Happening::SeedMoved { .. } => "moved",
        Happening::Refused { .. } => "refused",
        Happening::RolloutComplete { .. } => "complete",
    };
    plan.events.iter().map(|event| name(&event.what)).collect()
}

#[test]
fn a_rollout_is_told_in_three_steps() {
    let mut world = world(5);
    let mut told = Vec::new();
    for _ in 0..12 {
        told.extend(names(&step(&mut world)));
    }
    assert_eq!(told, ["chosen", "complete"]);
    assert_eq!(warm(&world.plan()), 5);
}

#[test]
fn the_seed_is_the_node_with_most_free_disk_and_stays_it_when_a_better_one_comes() {
    let mut world = world(3);
    world.inputs.nodes[1].disk = Some(Disk { free: 200 * GIB, budget: 100 * GIB });
    step(&mut world);
    assert_eq!(seed(&world.inputs), Some("node-1".into()));
    let mut better = node("node-9", "gpu");
    better.disk = Some(Disk { free: 900 * GIB, budget: 900 * GIB });
    world.add(better);
    step(&mut world);
    assert_eq!(seed(&world.inputs), Some("node-1".into()));
}

#[test]
fn a_node_that_has_it_already_makes_a_seed_needless() {
    let mut world = world(4);
    world.inputs.nodes[2].reports.insert(digest("app"), crate::build::report(State::Warm, 0, GIB));
    let plan = world.plan();
    assert_eq!(plan.seeds[0].node, None);
    assert!(plan.nodes.values().all(|node| node.holds[0].source == Source::Peers));
}

#[test]
fn a_seed_that_dies_is_replaced_and_its_node_is_never_the_next() {
    let mut world = world(4);
    run(&mut world, 1);
    let first = seed(&world.inputs).unwrap();
    let index = world.inputs.nodes.iter().position(|node| node.name == first).unwrap();
    world.inputs.nodes[index].ready = false;
    let plan = step(&mut world);
    let second = seed(&world.inputs).unwrap();
    assert_ne!(first, second);
    let Happening::SeedMoved { from, to, why, .. } = &plan.events[0].what else { panic!("{plan}") };
    assert_eq!((from, to), (&first, &second));
    assert!(matches!(why, Parting::Failed(_)), "{why}");
}

#[test]
fn a_seed_whose_node_is_deleted_is_replaced() {
    let mut world = world(3);
    run(&mut world, 1);
    let first = seed(&world.inputs).unwrap();
    let index = world.inputs.nodes.iter().position(|node| node.name == first).unwrap();
    world.remove(index);
    assert_eq!(names(&step(&mut world)), ["moved"]);
    assert_eq!(warm(&run(&mut world, 10)), 2);
}

#[test]
fn a_seed_whose_agent_does_not_answer_is_replaced_after_a_while() {
    let mut world = world(3);
    let first = {
        step(&mut world);
        seed(&world.inputs).unwrap()
    };
    world.inputs.nodes.iter_mut().for_each(|node| node.reports.clear());
    world.agents.get_mut(&first).unwrap().silent = true;
    let plan = step(&mut world);
    assert_eq!((names(&plan), seed(&world.inputs)), (vec![], Some(first.clone())));
    world.now = plan.again.unwrap();
    assert_eq!(names(&step(&mut world)), ["moved"]);
    assert_ne!(seed(&world.inputs), Some(first));
}

#[test]
fn the_only_node_stays_the_seed_although_it_fails() {
    let mut world = world(1);
    world.agents.values_mut().for_each(|agent| agent.broken = true);
    let plan = run(&mut world, 5);
    assert_eq!(seed(&world.inputs), Some("node-0".into()));
    assert!(plan.caches[&CacheId::new("team", "llm")].conditions.degraded.holds, "{plan}");
    world.agents.values_mut().for_each(|agent| agent.broken = false);
    assert_eq!(warm(&run(&mut world, 5)), 1);
}

#[test]
fn a_window_that_closes_lets_work_under_way_go_on_and_holds_back_the_rest() {
    let mut world = world(2);
    world.inputs.caches[0].max_parallel = onepull_controller::planner::Share::Nodes(1);
    step(&mut world);
    world.inputs.caches[0].gate = Gate::Closed { opens: None };
    assert_eq!(warm(&run(&mut world, 8)), 1);
    world.inputs.caches[0].gate = Gate::ALWAYS;
    assert_eq!(warm(&run(&mut world, 8)), 2);
}

#[test]
fn a_node_that_is_new_or_relabelled_is_told_at_once() {
    let mut world = world(2);
    run(&mut world, 8);
    world.add(node("node-8", "gpu"));
    world.add(node("node-9", "cpu"));
    let plan = step(&mut world);
    assert_eq!(plan.nodes[&"node-8".into()].holds.len(), 1);
    assert_eq!(plan.nodes[&"node-9".into()].holds.len(), 0);
    world.inputs.nodes[3].labels = labels("pool=gpu");
    assert_eq!(step(&mut world).nodes[&"node-9".into()].holds.len(), 1);
}

#[test]
fn two_caches_that_want_one_image_share_it_and_it_leaves_with_the_last() {
    let mut world = world(2);
    let mut second = cache("second", "gpu", &[(APP, image("app", 1))]);
    second.created += SignedDuration::from_secs(1);
    world.inputs.caches.push(second);
    let plan = run(&mut world, 8);
    assert_eq!(plan.nodes[&"node-0".into()].holds[0].caches.len(), 2);
    world.inputs.caches[0].deleting = true;
    assert_eq!(step(&mut world).nodes[&"node-0".into()].holds[0].caches.len(), 1);
    assert_eq!(world.inputs.caches.len(), 1);
    world.inputs.caches[0].deleting = true;
    assert_eq!(step(&mut world).nodes[&"node-0".into()].holds.len(), 0);
}

#[test]
fn a_cache_that_removes_its_images_stays_until_every_node_was_told_and_those_that_are_there_are_done()
 {
    let mut world = world(3);
    world.inputs.caches[0].on_delete = OnDelete::Remove;
    run(&mut world, 8);
    // Who has just taken over knows no digests.
    world.inputs.caches[0].resolutions.clear();
    world.inputs.caches[0].deleting = true;
    let released = |plan: &Plan| plan.caches[&CacheId::new("team", "llm")].released;
    for index in 0..3 {
        let plan = world.plan();
        assert!(!released(&plan), "{index} of 3 nodes were told:\n{plan}");
        let node = &mut world.inputs.nodes[index];
        let lists = &plan.nodes[&node.name];
        assert_eq!((lists.holds.len(), lists.removals.len()), (0, 1), "{plan}");
        (node.holds, node.removals) = (lists.holds.clone(), lists.removals.clone());
    }
    world.inputs.nodes[2].ready = false;
    world.agents.get_mut(&"node-2".into()).unwrap().silent = true;
    assert!(!released(&world.plan()), "two nodes remove it");
    world.tick(10);
    assert!(released(&world.plan()), "who is away is not waited for");
}

#[test]
fn a_tag_that_moves_in_the_middle_of_a_rollout_ends_with_the_new_digest_everywhere() {
    let mut world = world(4);
    run(&mut world, 2);
    world.inputs.caches[0].resolutions.insert(APP.into(), image("next", 1));
    let plan = run(&mut world, 16);
    for node in plan.nodes.values() {
        let digests: Vec<_> = node.holds.iter().map(|hold| &hold.digest).collect();
        assert_eq!(digests, [&digest("next")], "{plan}");
    }
}

#[test]
fn nodes_that_cannot_reach_those_that_hold_it_get_a_seed_of_their_own() {
    let mut world = world(2);
    run(&mut world, 8);
    world.add(node("far-1", "gpu"));
    let mut last = step(&mut world);
    // What it asks for is never offered.
    for _ in 0..12 {
        let far = world.inputs.nodes.iter_mut().find(|node| node.name.as_str() == "far-1").unwrap();
        let since = far.reports.get(&digest("app")).map_or(world.now, |report| report.since);
        let generation = far.holds[0].generation;
        let hungry = crate::build::report(State::NeedsUpstream, generation, 0);
        far.reports.insert(digest("app"), onepull_controller::planner::Report { since, ..hungry });
        last = world.plan();
        if last.nodes[&"far-1".into()].holds[0].source == Source::Upstream {
            break;
        }
        world.carry_out(&last);
        world.now += SignedDuration::from_secs(10);
    }
    assert_eq!(last.nodes[&"far-1".into()].holds[0].source, Source::Upstream, "{last}");
    assert_eq!(names(&last), ["moved"]);
}

#[test]
fn what_a_silent_node_holds_stays_on_its_list_when_its_turn_is_taken_back() {
    let mut world = world(2);
    run(&mut world, 8);
    world.agents.get_mut(&"node-0".into()).unwrap().silent = true;
    world.add(node("node-2", "gpu"));
    let names = ["r.example/app:v1", "r.example/app:alias", "r.example/web:v1"];
    let images =
        names.map(|name| (name, image(if name.contains("web") { "web" } else { "app" }, 1)));
    world.inputs.caches[0] = cache("llm", "gpu", &images);
    world.inputs.caches[0].max_parallel = onepull_controller::planner::Share::Nodes(1);
    run(&mut world, 40);
    let silent = world.inputs.nodes.iter().find(|node| node.name.as_str() == "node-0").unwrap();
    assert!(silent.holds.iter().any(|hold| hold.digest == digest("app")), "{}", world.plan());
}

#[test]
fn a_refusal_that_somebody_has_to_mend_is_told_once_and_again_when_it_comes_back() {
    let mut world = world(1);
    let fail = |world: &mut World, kind: TroubleKind| {
        let failed = Resolution::Failed(Trouble::new(kind, "no"));
        world.inputs.caches[0].resolutions.insert(APP.into(), failed);
    };
    fail(&mut world, TroubleKind::RateLimited);
    assert_eq!(names(&step(&mut world)), [""; 0], "it passes by itself");
    fail(&mut world, TroubleKind::CredentialRefused);
    let plan = step(&mut world);
    assert_eq!(plan.events[0].what.to_string(), "r.example/app:v1: no");
    assert_eq!(plan.events[0].what.as_str(), "CredentialRefused");
    assert_eq!(names(&step(&mut world)), [""; 0]);
    fail(&mut world, TroubleKind::ImageNotFound);
    assert_eq!(names(&step(&mut world)), ["refused"]);
    world.inputs.caches[0].resolutions.insert(APP.into(), image("app", 1));
    assert_eq!(names(&step(&mut world)), ["chosen"]);
    fail(&mut world, TroubleKind::ImageNotFound);
    assert_eq!(names(&step(&mut world)), ["refused"]);
}

#[test]
fn an_image_that_waits_for_others_gets_on_as_long_as_they_do() {
    let mut world = world(1);
    let images = [(APP, image("app", 1)), ("r.example/web:v1", image("web", 1))];
    world.inputs.caches[0] = cache("llm", "gpu", &images);
    step(&mut world);
    // The first takes longer than anybody has patience for, and tells of each quarter.
    let report = |world: &mut World, word: &str, state: State, since| {
        let node = &mut world.inputs.nodes[0];
        let generation = node.holds[0].generation;
        let told = crate::build::report(state, generation, 0);
        node.reports.insert(digest(word), onepull_controller::planner::Report { since, ..told });
    };
    let began = world.now;
    report(&mut world, "web", State::Waiting, began);
    for _ in 0..4 {
        world.now += SignedDuration::from_secs(400);
        let quarter = world.now;
        report(&mut world, "app", State::Warming, quarter);
        world.now += SignedDuration::from_secs(30);
        let plan = world.plan();
        let reasons: Vec<_> =
            plan.nodes[&"node-0".into()].lacks.iter().map(|l| l.reason.as_str()).collect();
        assert_eq!(reasons, ["Warming", "WaitingForOtherImages"], "{plan}");
        world.inputs.history = plan.history;
    }
    world.now += SignedDuration::from_secs(430);
    let conditions = &world.plan().caches[&CacheId::new("team", "llm")].conditions.clone();
    assert!(conditions.degraded.message.contains("nothing has come since"), "{conditions:?}");
}

#[test]
fn an_image_that_is_not_resolved_yet_waits_without_blame() {
    let mut world = world(1);
    world.inputs.caches[0].resolutions.clear();
    let conditions = &step(&mut world).caches[&CacheId::new("team", "llm")].conditions.clone();
    assert_eq!(conditions.progressing.reason, ConditionReason::Resolving);
    assert!(!conditions.degraded.holds && !conditions.ready.holds);
    let Resolution::Resolved(_) = image("app", 1) else { unreachable!() };
}

/// Four nodes, a cache of two images, and the two nodes that are to pull them: the second says nothing.
fn two_seeds() -> (World, [NodeName; 2]) {
    let mut world = world(4);
    world.inputs.caches =
        vec![cache("llm", "gpu", &[(APP, image("app", 1)), ("r.example/web:v1", image("web", 1))])];
    let plan = world.plan();
    let seeds = [0, 1].map(|image| plan.seeds[image].node.clone().unwrap());
    world.agents.get_mut(&seeds[1]).unwrap().silent = true;
    world.carry_out(&plan);
    world.tick(1);
    (world, seeds)
}

/// How many images every node is told of, the seeds apart.
fn told(plan: &Plan, seeds: &[NodeName]) -> Vec<usize> {
    let others = plan.nodes.iter().filter(|(name, _)| !seeds.contains(name));
    others.map(|(_, lists)| lists.holds.len()).collect()
}

#[test]
fn images_whose_seeds_answer_one_after_the_other_are_told_together() {
    let (mut world, seeds) = two_seeds();
    let plan = world.plan();
    assert_eq!(told(&plan, &seeds), [0, 0], "the second seed may answer in a moment");
    assert!(plan.again.is_some_and(|again| again <= world.now + SignedDuration::from_secs(5)));
    world.carry_out(&plan);
    world.agents.get_mut(&seeds[1]).unwrap().silent = false;
    world.tick(1);
    assert_eq!(told(&world.plan(), &seeds), [2, 2]);
}

#[test]
fn an_image_does_not_wait_long_for_a_seed_that_is_silent() {
    let (mut world, seeds) = two_seeds();
    let plan = world.plan();
    world.carry_out(&plan);
    world.tick(5);
    let plan = world.plan();
    assert_eq!(told(&plan, &seeds), [1, 1]);
    for seed in &seeds {
        assert_eq!(plan.nodes[seed].holds.len(), 1, "it has work meanwhile, and waits for longer");
    }
}

#[test]
fn bytes_of_an_image_that_a_cache_names_twice_count_once() {
    let mut world = world(1);
    let names = [(APP, image("app", 1)), ("r.example/app:alias", image("app", 1))];
    world.inputs.caches[0] = cache("llm", "gpu", &names);
    run(&mut world, 8);
    world.inputs.nodes[0].reports.get_mut(&digest("app")).unwrap().upstream = GIB;
    let rollup = world.plan().caches.remove(&CacheId::new("team", "llm")).unwrap();
    let counted = (rollup.upstream_bytes, rollup.selected[0].upstream_bytes, rollup.image_bytes);
    assert_eq!(counted, (GIB, GIB, GIB));
}

#[test]
fn an_image_of_a_nonsensical_size_is_planned_as_any_other() {
    let mut world = world(1);
    let Resolution::Resolved(mut huge) = image("app", 1) else { unreachable!() };
    huge.platforms.values_mut().for_each(|content| content.bytes = u64::MAX);
    world.inputs.caches[0].resolutions.insert(APP.into(), Resolution::Resolved(huge));
    assert_eq!(warm(&run(&mut world, 8)), 1);
}
