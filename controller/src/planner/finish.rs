//! The end of a plan: who may go, what is complete, and what need not be remembered.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Board, CacheId, Digest, Event, Happening, ImageRef, ImageRollup, NodeName, NodePlan, OnDelete,
    Rollup, SeedPlan, Trouble, TroubleKind, board::Standing,
};

/// Lets caches go that are being deleted. One whose images are to be removed stays until all nodes were told so, as
/// who is told later would leave them to the kubelet, and until nodes that can be asked are done. Which digests
/// its names stood for nobody may know any more, so removals are its own by their repositories.
pub(super) fn let_go(
    board: &Board<'_>,
    nodes: &BTreeMap<NodeName, NodePlan>,
    caches: &mut BTreeMap<CacheId, Rollup>,
) {
    if !board.caches.iter().any(|cache| cache.deleting) {
        return;
    }
    let told = board.nodes.iter().flat_map(|node| &node.holds);
    let told: HashSet<&CacheId> = told.flat_map(|hold| hold.caches.iter()).collect();
    let available = board.nodes.iter().filter(|node| node.is_available());
    let removals = available.flat_map(|node| &nodes[&node.name].removals);
    let removing: HashSet<&str> =
        removals.flat_map(|removal| &removal.refs).map(ImageRef::repository).collect();
    let is_removed = |image: &ImageRef| removing.contains(image.repository());
    for cache in board.caches.iter().filter(|cache| cache.deleting) {
        let mut images = cache.lists.iter().flat_map(|list| &list.images);
        let busy = told.contains(&cache.id) || images.any(is_removed);
        if let Some(rollup) = caches.get_mut(&cache.id) {
            rollup.released = cache.on_delete == OnDelete::Keep || !busy;
        }
    }
}

/// Tells once that all available nodes hold what a cache names, as it stands now.
pub(super) fn tell_complete(
    board: &mut Board<'_>,
    caches: &BTreeMap<CacheId, Rollup>,
) -> Vec<Event> {
    let mut told = std::mem::take(&mut board.history.complete);
    let mut events = Vec::new();
    for (id, rollup) in caches {
        let before = told.remove(id);
        let is_warm = rollup.nodes.warm > 0 && rollup.nodes.warm == rollup.nodes.available();
        if !is_warm || rollup.images.iter().any(is_unknown) {
            board.history.complete.extend(before.map(|known| (id.clone(), known)));
            continue;
        }
        let now = contents(rollup);
        if before.as_ref() != Some(&now) {
            let what = Happening::RolloutComplete { nodes: rollup.nodes.warm };
            events.push(Event { caches: vec![id.clone()], what });
        }
        board.history.complete.insert(id.clone(), now);
    }
    events
}

/// Tells once of each image that its registry does not give, when a person has to do something about it.
/// What passes by itself stands in the conditions alone.
pub(super) fn tell_refused(
    board: &mut Board<'_>,
    caches: &BTreeMap<CacheId, Rollup>,
) -> Vec<Event> {
    let told = std::mem::take(&mut board.history.refused);
    let mut events = Vec::new();
    for (id, rollup) in caches {
        for (image, trouble) in refusals(rollup) {
            let key = (image.clone(), trouble.kind);
            if !told.get(id).is_some_and(|told| told.contains(&key)) {
                let what = Happening::Refused { image: image.clone(), trouble: trouble.clone() };
                events.push(Event { caches: vec![id.clone()], what });
            }
            board.history.refused.entry(id.clone()).or_default().insert(key);
        }
    }
    events
}

fn refusals(rollup: &Rollup) -> impl Iterator<Item = (&ImageRef, &Trouble)> {
    let troubles = rollup.images.iter().filter_map(|one| Some((&one.image, one.trouble.as_ref()?)));
    troubles.filter(|(_, trouble)| {
        matches!(
            trouble.kind,
            TroubleKind::ImageNotFound
                | TroubleKind::CredentialRefused
                | TroubleKind::CredentialMissing
        )
    })
}

/// Whether nodes are to hold it, and nobody has said what it is.
fn is_unknown(image: &ImageRollup) -> bool {
    image.digest.is_none() && image.desired > 0
}

fn contents(rollup: &Rollup) -> BTreeSet<(ImageRef, Digest)> {
    let known = |image: &ImageRollup| Some((image.image.clone(), image.digest.clone()?));
    rollup.images.iter().filter_map(known).collect()
}

/// Forgets nodes that are gone and what has come to a good end.
pub(super) fn forget(board: &mut Board<'_>) {
    if !board.history.unanswered.is_empty() {
        let names: HashSet<&NodeName> = board.nodes.iter().map(|node| &node.name).collect();
        board.history.unanswered.retain(|node, _| names.contains(node));
    }
    if board.history.setbacks.is_empty() {
        return;
    }
    let lacking = board.items.iter().filter(|item| item.standing != Standing::Warm);
    let lacking: HashSet<(&NodeName, &Digest)> =
        lacking.map(|item| (&board.nodes[item.node].name, board.digest_of(item.wanted))).collect();
    let is_lacking = |(node, digest): &(NodeName, Digest)| lacking.contains(&(node, digest));
    board.history.setbacks.retain(|key, _| is_lacking(key));
}

/// Who pulls what.
pub(super) fn seeds(board: &Board<'_>) -> Vec<SeedPlan> {
    let seed = |group: &super::board::Group<'_>| SeedPlan {
        image: group.name.clone(),
        digest: group.digest.clone(),
        platform: group.platform.clone(),
        node: group.seed.map(|seed| board.node_of(seed).name.clone()),
        stage: group.stage,
    };
    board.groups.iter().map(seed).collect()
}
