//! Laws that every plan obeys, whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use onepull_controller::planner::{
    Allowance, Cache, Digest, Gravity, Hold, Inputs, Limits, Node, NodePlan, Plan, Reason,
    Resolution, Selector, Source, State, plan,
};
use proptest::{prelude::*, strategy::Strategy as Values};

use crate::{
    build::GIB,
    deeds::{Deed, deed},
    world::World,
};

/// Plans, checks the plan against what was before, and carries it out.
fn turn(world: &mut World) -> Plan {
    let before = world.inputs.clone();
    let plan = world.plan();
    one_seed(&before, &plan);
    turns_are_kept(&before, &plan);
    nothing_is_filled(&before, &plan);
    successors_come_first(&before, &plan);
    what_is_used_stays(&before, &plan);
    names_are_unique(&plan);
    world.carry_out(&plan);
    plan
}

fn lists<'a>(inputs: &'a Inputs, plan: &'a Plan) -> impl Iterator<Item = (&'a Node, &'a NodePlan)> {
    inputs.nodes.iter().map(|node| (node, &plan.nodes[&node.name]))
}

fn one_seed(before: &Inputs, plan: &Plan) {
    let mut seeds = BTreeSet::new();
    for (node, lists) in lists(before, plan) {
        for hold in lists.holds.iter().filter(|hold| hold.source == Source::Upstream) {
            let fresh = seeds.insert((hold.digest.clone(), node.platform.clone()));
            assert!(fresh, "two seeds of {}:\n{plan}", hold.digest);
        }
    }
}

fn is_warm(node: &Node, digest: &Digest) -> bool {
    node.reports.get(digest).is_some_and(|report| report.state == State::Warm)
}

/// Images that the node was told to bring in and does not hold.
fn work<'a>(node: &'a Node, holds: &'a [Hold]) -> impl Iterator<Item = &'a Hold> {
    holds.iter().filter(|hold| !is_warm(node, &hold.digest))
}

fn is_new(node: &Node, hold: &Hold) -> bool {
    !node.holds.iter().any(|old| old.digest == hold.digest)
}

fn selects(cache: &Cache, node: &Node) -> bool {
    let has = |selector: &Selector| selector.iter().all(|(k, v)| node.labels.get(k) == Some(v));
    !cache.deleting && cache.lists.iter().any(|list| has(&list.selector))
}

/// A node is told of new work only if a cache that wants it has no more nodes at work than it may.
fn turns_are_kept(before: &Inputs, plan: &Plan) {
    let mut at_work: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (node, lists) in lists(before, plan) {
        for hold in work(node, &lists.holds) {
            // What another cache may have given its turn to does not count against this one.
            let own = |hold: &Hold| !is_new(node, hold) || hold.caches.len() == 1;
            for cache in hold.caches.iter() {
                let nodes = at_work.entry(cache).or_default();
                if own(hold) {
                    nodes.insert(&node.name);
                }
            }
        }
    }
    for (node, lists) in lists(before, plan) {
        for hold in work(node, &lists.holds).filter(|hold| is_new(node, hold)) {
            let gives = hold.caches.iter().any(|id| {
                let cache = before.caches.iter().find(|cache| cache.id == *id).unwrap();
                let nodes = before.nodes.iter().filter(|node| node.is_available());
                let most = cache.max_parallel.of(nodes.filter(|n| selects(cache, n)).count());
                cache.gate.is_open() && at_work[id].len() <= most
            });
            assert!(gives, "{} was told too early:\n{plan}", node.name);
        }
    }
}

/// Whether somebody can say how large an image is: the registry of a cache that names it, or a node.
fn has_size(inputs: &Inputs, digest: &Digest) -> bool {
    let is_it = |to: &Resolution| matches!(to, Resolution::Resolved(to) if to.digest == *digest);
    let names_it = |cache: &Cache| {
        let mut names = cache.lists.iter().flat_map(|list| &list.images);
        !cache.deleting && names.any(|name| cache.resolutions.get(name).is_some_and(is_it))
    };
    inputs.caches.iter().any(names_it)
        || inputs.nodes.iter().any(|node| node.reports.contains_key(digest))
}

/// Each image takes 3 GiB, whoever wants it, and the old ones that stay count too.
fn nothing_is_filled(before: &Inputs, plan: &Plan) {
    for (node, lists) in lists(before, plan) {
        if work(node, &lists.holds).any(|hold| is_new(node, hold)) {
            let known = lists.holds.iter().filter(|hold| has_size(before, &hold.digest));
            let takes = known.count() as u64 * 3 * GIB;
            let budget = node.disk.unwrap().budget;
            assert!(takes <= budget, "{} is filled:\n{plan}", node.name);
            if let Some(most) = before.limits.node.images {
                assert!(lists.holds.len() <= most, "{} has too many:\n{plan}", node.name);
            }
        }
    }
}

/// An image that a node holds leaves its list only when whatever takes its place in a cache is on all
/// available nodes that the cache selects.
fn successors_come_first(before: &Inputs, plan: &Plan) {
    for (node, lists) in lists(before, plan) {
        let stays = |old: &&Hold| lists.holds.iter().any(|hold| hold.digest == old.digest);
        let gone = node.holds.iter().filter(|old| !stays(old) && is_warm(node, &old.digest));
        for old in gone {
            let caches = before.caches.iter().filter(|cache| old.caches.contains(&cache.id));
            for cache in caches.filter(|cache| selects(cache, node)) {
                everywhere(before, plan, cache, old);
            }
        }
    }
}

fn everywhere(before: &Inputs, plan: &Plan, cache: &Cache, old: &Hold) {
    let names = cache.lists.iter().flat_map(|list| &list.images);
    let successors =
        names.filter(|name| old.refs.iter().any(|old| old.repository() == name.repository()));
    for name in successors {
        let Some(Resolution::Resolved(new)) = cache.resolutions.get(name) else {
            panic!("{} goes without a successor:\n{plan}", old.digest);
        };
        let nodes = before.nodes.iter().filter(|node| node.is_available());
        for node in nodes.filter(|node| selects(cache, node)) {
            let there = is_warm(node, &new.digest);
            assert!(there, "{} goes, {name} is not on {}:\n{plan}", old.digest, node.name);
        }
    }
}

fn what_is_used_stays(before: &Inputs, plan: &Plan) {
    for (node, lists) in lists(before, plan) {
        for removal in &lists.removals {
            let used = node.reports.get(&removal.digest).is_some_and(|report| report.in_use);
            assert!(!used, "{} is in use on {}", removal.digest, node.name);
            let held = lists.holds.iter().any(|hold| hold.digest == removal.digest);
            assert!(!held, "{} is wanted on {}", removal.digest, node.name);
        }
    }
}

fn names_are_unique(plan: &Plan) {
    for lists in plan.nodes.values() {
        let mut names = BTreeSet::new();
        for hold in &lists.holds {
            assert!(!hold.refs.is_empty(), "an image without a name:\n{plan}");
            assert!(hold.refs.iter().all(|name| names.insert(name)), "a name for two:\n{plan}");
        }
    }
}

fn shuffled(inputs: &Inputs) -> Inputs {
    let mut other = inputs.clone();
    other.caches.reverse();
    other.nodes.reverse();
    other
}

fn limits() -> impl Values<Value = Limits> {
    prop::option::weighted(0.3, 1usize..4).prop_map(|images| Limits {
        node: Allowance { images: images.map(|images| images + 1), bytes: None },
        namespace: Allowance { images, bytes: None },
    })
}

/// What cannot be helped even when everything works.
fn is_final(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::OverDiskBudget { .. }
            | Reason::LimitReached { .. }
            | Reason::TagConflict { .. }
            | Reason::PlatformMissing { .. }
    )
}

/// Nothing is lacking that can be had, and no cache is still to go.
fn has_ended(world: &World, last: &Plan) -> bool {
    let mut lacks = last.nodes.values().flat_map(|lists| &lists.lacks);
    lacks.all(|lack| is_final(&lack.reason))
        && !world.inputs.caches.iter().any(|cache| cache.deleting)
}

/// Half-minutes within which every rollout of such a small cluster ends: the longest wait after failures is ten
/// minutes, and there are at most 12 images, one after the other.
const LONGEST: usize = 240;

proptest! {
    #[test]
    fn whatever_happens_the_laws_hold_and_every_rollout_ends_when_its_nodes_work(
        deeds in prop::collection::vec(deed(), 1..60),
        limits in limits(),
    ) {
        let mut world = World::new();
        world.inputs.limits = limits;
        for slot in 0..4 {
            world.apply(&Deed::NodeComes { slot, pool: slot % 2 == 0, gib: 40, arm: false });
        }
        for deed in &deeds {
            world.apply(deed);
            prop_assert_eq!(world.plan(), plan(&shuffled(&world.inputs), world.now));
            turn(&mut world);
        }
        world.mend();
        let mut last = turn(&mut world);
        for _ in 0..LONGEST {
            if has_ended(&world, &last) {
                return Ok(());
            }
            world.tick(30);
            last = turn(&mut world);
        }
        prop_assert!(false, "this goes on for ever:\n{last}");
    }

    #[test]
    fn a_plan_that_is_carried_out_soon_leads_to_itself(
        deeds in prop::collection::vec(deed(), 1..40),
    ) {
        let mut world = World::new();
        for slot in 0..5 {
            world.apply(&Deed::NodeComes { slot, pool: slot % 2 == 0, gib: 40, arm: false });
        }
        for deed in &deeds {
            world.apply(deed);
            for _ in 0..6 {
                turn(&mut world);
            }
            let settled = turn(&mut world);
            let again = turn(&mut world);
            let lists = |plan: &Plan| {
                let both = |lists: &NodePlan| (lists.holds.clone(), lists.removals.clone());
                plan.nodes.values().map(both).collect::<Vec<_>>()
            };
            prop_assert_eq!(lists(&settled), lists(&again), "{}\n{}", settled, again);
            prop_assert!(again.events.is_empty(), "{}", again);
        }
    }
}

#[test]
fn what_is_wrong_is_told_before_what_goes_on() {
    assert!(Gravity::Wrong < Gravity::Held && Gravity::Held < Gravity::UnderWay);
}
