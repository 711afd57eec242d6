//! What has to be written so that the objects are as the plan says. What is so already is not written.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use kube::ResourceExt;
use onepull_api::{ImageCache, ImageQuestion, OnDelete};

use super::{Deed, deed::Telling};
use crate::{
    convert::{self, Told},
    finalizer::{self, FINALIZER},
    planner::{Inputs, Node, NodePlan, Plan},
    world::Snapshot,
};

/// All that differs, what others wait for first. `questions` are those that nodes are to be asked, by
/// their names. The lists of nodes that are told something are taken out of the plan.
pub(super) fn deeds(
    snapshot: &Snapshot,
    inputs: &Inputs<Arc<Node>>,
    plan: &mut Plan,
    questions: &BTreeMap<String, Vec<ImageQuestion>>,
    now: Timestamp,
) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let empty = NodePlan::default();
    let mut orphans: HashMap<&str, &Arc<Told>> =
        snapshot.told.iter().map(|(name, told)| (name.as_str(), told)).collect();
    for (machine, node) in snapshot.machines.iter().zip(&inputs.nodes) {
        let told = orphans.remove(node.name.as_str());
        // Nobody reads there what it is told.
        if node.virtual_node && told.is_none() {
            continue;
        }
        let questions = questions.get(node.name.as_str()).map_or(&[][..], Vec::as_slice);
        let lists = plan.nodes.get(&node.name).unwrap_or(&empty);
        if told.is_none_or(|told| !convert::says(told, node, lists, questions)) {
            deeds.push(Deed::Tell(Box::new(Telling {
                machine: Arc::clone(machine),
                node: Arc::clone(node),
                plan: plan.nodes.remove(&node.name).unwrap_or_default(),
                questions: questions.to_vec(),
            })));
        }
    }
    // A collector of garbage does this too, where there is one.
    deeds.extend(
        orphans
            .into_iter()
            .map(|(node, told)| Deed::Delete { node: node.to_owned(), uid: told.uid.clone() }),
    );
    for cache in &snapshot.caches {
        deeds.extend(finalizer(cache, plan));
        deeds.extend(report(cache, plan, now));
    }
    deeds.sort_by_cached_key(Deed::turn);
    deeds
}

fn report(cache: &ImageCache, plan: &Plan, now: Timestamp) -> Option<Deed> {
    let rollup = plan.caches.get(&convert::id(cache))?;
    let status = convert::status(cache, rollup, now);
    if cache.status.as_ref() == Some(&status) {
        return None;
    }
    let namespace = cache.namespace().unwrap_or_default();
    Some(Deed::Report { namespace, name: cache.name_any(), status: Box::new(status) })
}

/// Only a cache whose images are to be removed is held back, and only until they are.
fn finalizer(cache: &ImageCache, plan: &Plan) -> Option<Deed> {
    let is_held = finalizer::is_on(cache);
    let deleting = cache.metadata.deletion_timestamp.is_some();
    let released = || plan.caches.get(&convert::id(cache)).is_none_or(|rollup| rollup.released);
    let holds = match (deleting, cache.spec.on_delete) {
        (false, on_delete) => on_delete == OnDelete::Remove,
        (true, _) => is_held && !released(),
    };
    if holds == is_held {
        return None;
    }
    let mut finalizers = finalizer::others(cache);
    finalizers.extend(holds.then(|| FINALIZER.to_owned()));
    Some(Deed::Finalizer {
        namespace: cache.namespace().unwrap_or_default(),
        name: cache.name_any(),
        finalizers,
        resource_version: cache.resource_version(),
    })
}

#[cfg(test)]
mod tests;
