//! What the conditions of a cache say. Reasons and words are chosen here, and nowhere else.

use super::{
    Board, Condition, Conditions, Gravity, NotWarm, Resolution,
    board::{Line, Stage},
    summary::Tally,
};

mod reason;

pub use reason::ConditionReason;
use reason::ConditionReason as Why;

/// Sums up a cache's nodes in three conditions.
pub(super) fn of(board: &Board<'_>, cache: usize, tally: &Tally) -> Conditions {
    let degraded = degraded(board, cache, tally);
    let progressing = progressing(board, cache, tally);
    let ready = ready(board, cache, tally, progressing.holds || !degraded.holds);
    Conditions { ready, progressing, degraded }
}

fn condition(holds: bool, reason: Why, message: String) -> Condition {
    Condition { holds, reason, message }
}

fn ready(board: &Board<'_>, cache: usize, tally: &Tally, goes_on: bool) -> Condition {
    let nodes = tally.nodes;
    let waited = nodes.available();
    let wanted = board.caches[cache].ready_when.of(waited);
    if board.caches[cache].deleting {
        return condition(false, Why::Removing, "the cache is being deleted".into());
    }
    if nodes.selected == tally.virtual_nodes {
        let virtual_nodes = match tally.virtual_nodes {
            0 => "no node is selected, so none lacks anything".to_owned(),
            count => format!("only virtual nodes are selected ({count}), which hold no images"),
        };
        return condition(true, Why::NoNodesSelected, virtual_nodes);
    }
    let apart = match nodes.unavailable {
        0 => String::new(),
        count => format!("; {count} more are not ready and not waited for"),
    };
    let message = format!("{} of {waited} nodes hold their images{apart}", nodes.warm);
    match (waited, nodes.warm) {
        (0, _) => condition(false, Why::RolloutBlocked, message),
        (waited, warm) if warm == waited => condition(true, Why::AllNodesWarm, message),
        (_, warm) if warm >= wanted => condition(true, Why::EnoughNodesWarm, message),
        _ if goes_on => condition(false, Why::RolloutInProgress, message),
        _ => condition(false, Why::RolloutBlocked, message),
    }
}

/// Whether something is being done, and what.
fn progressing(board: &Board<'_>, cache: usize, tally: &Tally) -> Condition {
    let count = |reason| tally.reasons.get(reason).map_or(0, |(count, _)| *count);
    let say = |holds, reason, message: String| condition(holds, reason, message);
    let waits = |reason: &str| tally.reasons.get(reason).map(|(_, first)| first.reason.to_string());
    if board.caches[cache].deleting {
        return say(true, Why::Removing, "its images are let go or removed".into());
    }
    if count("WaitingForResolution") > 0 {
        return say(true, Why::Resolving, "the registry is asked for digests".into());
    }
    let nodes = tally.nodes;
    if count("WaitingForSeed") > 0 || seeding(board, cache) {
        let seeds = seeds(board, cache);
        return say(true, Why::Seeding, format!("from the registry: {seeds}"));
    }
    if nodes.warming + nodes.waiting > count("WaitingForWindow") {
        let message = format!("{} nodes are at work, {} wait", nodes.warming, nodes.waiting);
        return say(true, Why::RollingOut, message);
    }
    if let Some(message) = waits("WaitingForWindow") {
        return say(false, Why::WaitingForWindow, message);
    }
    match (nodes.warm, nodes.available()) {
        (_, 0) if nodes.selected > tally.virtual_nodes => {
            say(false, Why::WaitingForNodes, "no selected node is ready".into())
        }
        (warm, available) if warm == available => {
            say(false, Why::RolloutComplete, "everything is where it belongs".into())
        }
        _ => say(false, Why::RolloutBlocked, "what is left cannot go on: see Degraded".into()),
    }
}

fn lines<'b, 'a>(board: &'b Board<'a>, cache: usize) -> impl Iterator<Item = &'b Line<'a>> {
    board.lines.iter().filter(move |line| line.cache == cache)
}

fn groups(board: &Board<'_>, cache: usize) -> Vec<usize> {
    let mut groups: Vec<usize> = lines(board, cache).flat_map(|line| line.groups.clone()).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn seeding(board: &Board<'_>, cache: usize) -> bool {
    let is_chosen = |group: &usize| board.groups[*group].stage == Stage::Chosen;
    groups(board, cache).iter().any(is_chosen)
}

/// Who pulls what, for people.
fn seeds(board: &Board<'_>, cache: usize) -> String {
    let seed = |group: usize| {
        let group = &board.groups[group];
        let seed = group.seed.filter(|_| group.stage != Stage::Held)?;
        Some(format!("{} on {}", group.name, board.node_of(seed).name))
    };
    let seeds: Vec<String> = groups(board, cache).into_iter().filter_map(seed).collect();
    match seeds.as_slice() {
        [] => "no node can be chosen just now".into(),
        [first] => first.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// What is wrong, if anything is: an image that nobody can have first, then the nodes' reasons in the
/// order of how many nodes they keep from it.
fn degraded(board: &Board<'_>, cache: usize, tally: &Tally) -> Condition {
    let unresolved = lines(board, cache).find_map(|line| match line.resolution {
        Some(Resolution::Failed(trouble)) => Some((line, trouble)),
        _ => None,
    });
    if let Some((line, trouble)) = unresolved {
        return condition(true, trouble.kind.into(), format!("{}: {trouble}", line.name));
    }
    let wrong =
        tally.reasons.iter().filter(|(_, (_, first))| first.reason.gravity() == Gravity::Wrong);
    match wrong.max_by_key(|(_, (count, _))| *count) {
        None => condition(false, Why::AsExpected, "nothing is wrong".into()),
        Some((_, (count, first))) => condition(true, (&first.reason).into(), tell(*count, first)),
    }
}

fn tell(count: usize, first: &NotWarm) -> String {
    let more = match count - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} on {}{more}: {}", first.image, first.node, first.reason)
}
