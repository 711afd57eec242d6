//! A controller takes over: it has the objects, and no registry has answered it yet.

use onepull_controller::planner::{
    CacheId, ConditionReason, Disk, Hold, ImageRef, Inputs, Node, Plan, Report, Resolution, Rollup,
    State, Trouble, TroubleKind,
};

use crate::{
    build::{GIB, cache, digest, image, node, report},
    cases::{APP, names, run, seed, step, warm, world},
    world::World,
};

const WEB: &str = "r.example/web:v1";

/// What the controller before knew is forgotten; returns what registries will say to this one.
fn take_over(world: &mut World) -> Vec<(usize, ImageRef, Resolution)> {
    world.inputs.history = Default::default();
    let caches = world.inputs.caches.iter_mut().enumerate();
    let known = caches.flat_map(|(index, cache)| {
        let known = std::mem::take(&mut cache.resolutions).into_iter();
        known.map(move |(name, resolution)| (index, name, resolution))
    });
    known.collect()
}

fn told(inputs: &Inputs) -> Vec<Vec<Hold>> {
    inputs.nodes.iter().map(|node| node.holds.clone()).collect()
}

fn rollup(plan: &Plan) -> &Rollup {
    &plan.caches[&CacheId::new("team", "llm")]
}

/// Two caches that have an image in common, after so many steps.
fn two_caches(steps: usize) -> World {
    let mut world = world(3);
    let images = [(APP, image("app", 1)), (WEB, image("web", 1))];
    world.inputs.caches = vec![cache("llm", "gpu", &images), cache("web", "gpu", &images[1..])];
    run(&mut world, steps);
    world
}

#[test]
fn who_takes_over_lets_nodes_work_on_until_the_registry_has_said_what_they_work_on() {
    let mut world = world(3);
    step(&mut world);
    step(&mut world);
    let (before, seed_before) = (told(&world.inputs), seed(&world.inputs));
    assert!(before.iter().all(|holds| holds.len() == 1) && seed_before.is_some());
    let known = std::mem::take(&mut world.inputs.caches[0].resolutions);
    world.inputs.history = Default::default();
    let plan = world.plan();
    world.carry_out(&plan);
    assert_eq!((told(&world.inputs), names(&plan)), (before.clone(), vec![]));
    let down = Trouble::new(TroubleKind::RegistryUnreachable, "it is down");
    let failed = known.keys().map(|name| (name.clone(), Resolution::Failed(down.clone())));
    world.inputs.caches[0].resolutions = failed.collect();
    let plan = world.plan();
    world.carry_out(&plan);
    assert_eq!(told(&world.inputs), before, "a registry that is down");
    world.inputs.caches[0].resolutions = known;
    let plan = world.plan();
    world.carry_out(&plan);
    assert_eq!((seed(&world.inputs), names(&plan)), (seed_before, vec![]));
    world.inputs.caches[0].resolutions.clear();
    world.inputs.caches[0].lists[0].images = vec!["r.example/app:v2".into()];
    let plan = world.plan();
    world.carry_out(&plan);
    let warm = |node: &Node| {
        node.reports.get(&digest("app")).is_some_and(|report| report.state == State::Warm)
    };
    let nodes = world.inputs.nodes.iter();
    let kept = nodes.filter(|node| !warm(node)).all(|node| node.holds.is_empty());
    assert!(kept, "another name: what never came is dropped");
}

#[test]
fn no_node_is_told_anything_anew_in_whatever_order_registries_answer() {
    for steps in [1, 3, 12] {
        for backwards in [false, true] {
            let mut world = two_caches(steps);
            let before = told(&world.inputs);
            assert!(before.iter().any(|holds| holds.len() == 2), "{before:?}");
            let mut answers = take_over(&mut world);
            if backwards {
                answers.reverse();
            }
            for (cache, name, resolution) in answers {
                let plan = world.plan();
                world.carry_out(&plan);
                assert_eq!(told(&world.inputs), before, "{steps} steps, {backwards}:\n{plan}");
                world.inputs.caches[cache].resolutions.insert(name, resolution);
            }
        }
    }
}

/// The cache is as it was, but for what only its registry can say.
fn is_as_before(plan: &Plan, before: &Plan) {
    let [now, then] = [plan, before].map(rollup);
    let ready = |rollup: &Rollup| (rollup.nodes, rollup.conditions.ready.clone());
    assert_eq!((ready(now), &now.not_warm), (ready(then), &then.not_warm), "{plan}");
    let warm = |rollup: &Rollup| rollup.images.iter().map(|one| one.warm).collect::<Vec<_>>();
    let on_first = |rollup: &Rollup| rollup.selected[0].warm;
    assert_eq!((warm(now), on_first(now)), (warm(then), on_first(then)), "{plan}");
}

#[test]
fn a_cache_that_is_ready_stays_it() {
    let mut world = two_caches(12);
    let before = world.plan();
    let conditions = &rollup(&before).conditions;
    assert!(conditions.ready.holds, "{before}");
    let answers = take_over(&mut world);
    let down = Resolution::Failed(Trouble::new(TroubleKind::RegistryUnreachable, "it is down"));
    for (cache, name, resolution) in answers {
        let plan = world.plan();
        is_as_before(&plan, &before);
        assert_eq!(&rollup(&plan).conditions, conditions);
        assert_eq!(names(&plan), vec!["complete"; cache], "those before it are resolved");
        world.inputs.caches[cache].resolutions.insert(name.clone(), down.clone());
        let plan = world.plan();
        is_as_before(&plan, &before);
        let degraded = |plan: &Plan| plan.caches.values().any(|one| one.conditions.degraded.holds);
        assert!(degraded(&plan), "{plan}");
        world.inputs.caches[cache].resolutions.insert(name, resolution);
    }
    assert_eq!(names(&world.plan()), ["complete"; 2]);
}

#[test]
fn a_node_that_is_not_ready_is_not_counted_for_what_it_was_told() {
    let mut world = two_caches(12);
    world.inputs.nodes[2].ready = false;
    let before = world.plan();
    take_over(&mut world);
    is_as_before(&world.plan(), &before);
}

#[test]
fn a_node_that_lacks_an_image_is_not_counted_before_the_registry_answers() {
    let mut world = world(2);
    run(&mut world, 8);
    world.add(node("node-2", "gpu"));
    take_over(&mut world);
    let plan = step(&mut world);
    assert_eq!(warm(&plan), 2, "{plan}");
    let conditions = &rollup(&plan).conditions;
    assert_eq!(conditions.progressing.reason, ConditionReason::Resolving);
    assert!(!conditions.ready.holds);
}

/// A node that was told of an image of 1 GiB, which takes 3 on its disk, and has half of it; the registry does not
/// answer who takes over. Returns what the plan says of an image of another cache there.
fn beside_one_that_fails(budget: u64) -> Vec<(String, &'static str)> {
    let mut world = world(1);
    world.inputs.nodes[0].disk = Some(Disk { free: budget, budget });
    step(&mut world);
    let half = Report { total: Some(GIB), ..report(State::Warming, 1, GIB / 2) };
    world.inputs.nodes[0].reports.insert(digest("app"), half);
    take_over(&mut world);
    let down = Resolution::Failed(Trouble::new(TroubleKind::RegistryUnreachable, "it is down"));
    world.inputs.caches[0].resolutions.insert(APP.into(), down);
    world.inputs.caches.push(cache("web", "gpu", &[(WEB, image("web", 1))]));
    let plan = world.plan();
    let lacks = plan.nodes[&"node-0".into()].lacks.iter();
    lacks.map(|lack| (lack.image.to_string(), lack.reason.as_str())).collect()
}

#[test]
fn an_image_whose_registry_fails_takes_its_room_and_keeps_no_other_image_out() {
    let lacks = |why| vec![(APP.to_owned(), "RegistryUnreachable"), (WEB.to_owned(), why)];
    assert_eq!(beside_one_that_fails(6 * GIB), lacks("Warming"));
    assert_eq!(beside_one_that_fails(5 * GIB), lacks("OverDiskBudget"));
}
