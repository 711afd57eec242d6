//! A controller takes over: it has the objects, and no registry has answered it yet.

use onepull_controller::planner::{Hold, ImageRef, Inputs, Resolution};

use crate::{
    build::{cache, image},
    cases::{APP, run, world},
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

/// Two caches that have an image in common, after so many steps.
fn two_caches(steps: usize) -> World {
    let mut world = world(3);
    let images = [(APP, image("app", 1)), (WEB, image("web", 1))];
    world.inputs.caches = vec![cache("llm", "gpu", &images), cache("web", "gpu", &images[1..])];
    run(&mut world, steps);
    world
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
