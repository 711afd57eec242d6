//! Seeds: the one node for each image and platform that pulls from the registry.
//!
//! Who is the seed stands in the nodes' own lists, so a plan finds it there and keeps it as long as it gets
//! on: a better one that turns up changes nothing.

use jiff::{SignedDuration, Timestamp};

use super::{
    Board, Event, Happening, NodeName, Parting, Reason, State,
    board::{Group, Stage, Standing},
    history::SeedRecord,
    turns,
};

mod candidates;

/// How long nodes may fail to get an image that others hold until somebody pulls it once more: longer
/// than an agent waits between two tries, which is a minute.
const OUT_OF_REACH: SignedDuration = SignedDuration::from_secs(90);

/// Sees to the seed of every image and platform; returns what is worth telling.
pub(super) fn choose(board: &mut Board<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut records = std::mem::take(&mut board.history.seeds);
    for group in 0..board.groups.len() {
        let key = board.groups[group].key();
        let mut record = records.remove(&key).unwrap_or_default();
        events.extend(tend(board, group, &mut record));
        board.groups[group].next_seed = record.waits(board.now);
        record.reachable = match board.groups[group].stage {
            Stage::Announced | Stage::Held => record.reachable.or(Some(board.now)),
            Stage::Missing | Stage::Chosen | Stage::Failing => None,
        };
        board.groups[group].reachable = record.reachable;
        board.history.seeds.insert(key, record);
    }
    events
}

fn tend(board: &mut Board<'_>, group: usize, record: &mut SeedRecord) -> Option<Event> {
    let seed = candidates::current(board, group);
    board.groups[group].seed = seed;
    let starving = starving(board, group);
    let held = board.groups[group].held || is_everywhere(&board.groups[group]);
    if held && starving.is_empty() {
        board.groups[group].stage = Stage::Held;
        record.node = seed.map(|seed| board.node_of(seed).name.clone()).or(record.node.take());
        record.forgive();
        return None;
    }
    let gets_on = look_at(board, group, record);
    if held {
        board.groups[group].stage = Stage::Held;
    }
    if gets_on {
        return None;
    }
    if let Some(next) = record.waits(board.now) {
        board.alarm.set(next);
        return None;
    }
    let among = if held { &starving } else { &board.groups[group].items };
    let chosen = candidates::best(board, group, among, record)?;
    if Some(chosen) == seed {
        return None;
    }
    appoint(board, group, chosen, held);
    record.node = Some(board.node_of(chosen).name.clone());
    Some(tell(board, group, chosen, record.lost.take()))
}

fn is_everywhere(group: &Group<'_>) -> bool {
    group.warm == group.items.len()
}

/// Looks at the seed there is, and notes how far it is. Returns whether it gets on.
fn look_at(board: &mut Board<'_>, group: usize, record: &mut SeedRecord) -> bool {
    let Some(seed) = board.groups[group].seed else {
        if let Some(gone) = record.node.take() {
            record.fail(&gone, u64::MAX, board.now);
            record.lost = Some((gone.clone(), candidates::parting(board, group, &gone)));
        }
        return false;
    };
    let name = board.node_of(seed).name.clone();
    let generation = board.items[seed].told.map_or(0, |told| told.generation);
    record.node = Some(name.clone());
    match progress(board, seed) {
        Ok(stage) => board.groups[group].stage = stage,
        Err(parting) => {
            record.fail(&name, generation, board.now);
            record.lost = Some((name, parting));
            board.groups[group].stage = Stage::Failing;
            return false;
        }
    }
    true
}

/// How far a seed is, or why it is none.
fn progress(board: &Board<'_>, seed: usize) -> Result<Stage, Parting> {
    let item = &board.items[seed];
    let state = item.answer().map(|report| report.state);
    match (item.standing, state) {
        (Standing::Failing(why), _) => Err(Parting::Failed(board.reasons.get(why).clone())),
        (Standing::Warm, _) if !board.nodes[item.node].is_available() => {
            Err(Parting::Failed(Reason::NodeNotReady))
        }
        (Standing::Warm, _) => Err(Parting::OutOfReach),
        (_, Some(State::NeedsUpstream)) => Err(Parting::Failed(Reason::NoPeerHasIt)),
        (_, Some(State::Warming)) => Ok(Stage::Announced),
        _ => Ok(Stage::Chosen),
    }
}

/// Nodes that have not been able to get what others hold for too long.
fn starving(board: &mut Board<'_>, group: usize) -> Vec<usize> {
    let Group { served, hungry, .. } = &board.groups[group];
    // Those that could not get it before somebody held it have a chance now.
    let fed = |since: Timestamp| served.map_or(since, |served| served.max(since)) + OUT_OF_REACH;
    let first = hungry.iter().map(|(_, since)| fed(*since)).min();
    if let Some(first) = first.filter(|time| *time > board.now) {
        board.alarm.set(first);
    }
    let starving = hungry.iter().filter(|(_, since)| fed(*since) <= board.now);
    starving.map(|(item, _)| *item).collect()
}

/// Makes it the seed.
fn appoint(board: &mut Board<'_>, group: usize, chosen: usize, held: bool) {
    if board.items[chosen].standing == Standing::Free {
        board.items[chosen].standing = Standing::Told;
        turns::take(board, chosen);
    }
    board.groups[group].seed = Some(chosen);
    if !held {
        board.groups[group].stage = Stage::Chosen;
    }
}

fn tell(
    board: &Board<'_>,
    group: usize,
    chosen: usize,
    former: Option<(NodeName, Parting)>,
) -> Event {
    let group = &board.groups[group];
    let (image, platform) = (group.name.clone(), group.platform.clone());
    let node = board.node_of(chosen).name.clone();
    let what = match former {
        None => Happening::SeedChosen { image, platform, node },
        Some((from, why)) => Happening::SeedMoved { image, platform, from, to: node, why },
    };
    let caches = board.caches_of(chosen).map(|cache| board.caches[cache].id.clone()).collect();
    Event { caches, what }
}
