//! How each item stands before anything is decided: what the node was told, what it answered, and what
//! of its own speaks against telling it.

use jiff::{SignedDuration, Timestamp};

use super::{
    Board, Node, Reason, Report, Source, State, Trouble, TroubleKind, board::Standing,
    history::Unanswered,
};
use crate::window::Gate;

/// How long an agent may take to answer what it was told: it answers within a second, and a
/// DaemonSet's update replaces it within a minute.
const ANSWER: SignedDuration = SignedDuration::from_secs(90);

/// How long an image may go without progress, however small it is: unpacking is slow on a busy disk.
const PATIENCE: SignedDuration = SignedDuration::from_mins(3);

/// Bytes per second below which a download counts as stalled. Agents tell of progress at each quarter,
/// and tell themselves when nothing comes; this is for those that died without a word. A megabyte per
/// second is slower than any link that somebody would warm a node by.
const SLOWEST: u64 = 1 << 20;

/// A century, in seconds: the longest wait, when a size is nonsense. Any time that an agent tells bears that.
const LONG: i64 = 100 * 365 * 24 * 3600;

/// Assesses a node's items.
pub(super) fn assess(board: &mut Board<'_>, node: usize) {
    let silent = is_silent(board, node);
    let mut work = None;
    for item in board.items_of(node) {
        board.items[item].standing = match look_at(board, item, silent, &mut work) {
            Ok(standing) => standing,
            Err(reason) => Standing::Failing(board.reasons.add(reason)),
        };
        note(board, item);
    }
}

/// Notes what matters for the image's seed, and for all caches.
fn note(board: &mut Board<'_>, index: usize) {
    let item = &mut board.items[index];
    let answer = item.answer();
    item.answers = answer.is_some();
    let wanted = &mut board.wanted[item.wanted];
    let group = &mut board.groups[wanted.group];
    if item.told.is_some_and(|told| told.source == Source::Upstream) {
        group.upstream.push(index);
    }
    let Some(report) = answer else { return };
    match (item.standing, report.state) {
        (Standing::Warm, _) => {
            group.warm += 1;
            wanted.warm += usize::from(board.nodes[item.node].is_available());
            if report.complete {
                group.served = group.served.max(Some(report.since));
            }
        }
        (Standing::UnderWay, State::NeedsUpstream) => group.hungry.push((index, report.since)),
        _ => {}
    }
}

/// What a node is at work on, for images that come after that.
#[derive(Clone, Copy)]
struct Work {
    /// When it told of progress last, with whatever image.
    since: Option<Timestamp>,
    /// Bytes of the largest image that it brings in.
    bytes: u64,
}

/// How it stands, or why it does not get on.
fn look_at(
    board: &mut Board<'_>,
    index: usize,
    silent: bool,
    work: &mut Option<Work>,
) -> Result<Standing, Reason> {
    let node = board.node_of(index);
    let item = &board.items[index];
    match (item.told, item.answer()) {
        (Some(_), Some(report)) if report.state == State::Warm => Ok(Standing::Warm),
        (Some(_), _) if !node.ready => Err(Reason::NodeNotReady),
        (Some(_), None) if silent => Err(Reason::WaitingForAgent),
        (Some(_), None) => Ok(Standing::UnderWay),
        (Some(_), Some(report)) => {
            let bytes = board.group_of(index).content.bytes;
            let (since, bytes) = match report.state {
                State::Waiting => {
                    let work = *work.get_or_insert_with(|| work_of(board, item.node));
                    (work.since.max(Some(report.since)), work.bytes)
                }
                _ => (Some(report.since), bytes),
            };
            let stalls = progress(report, since.unwrap_or(report.since), bytes, board.now)?;
            stalls.into_iter().for_each(|time| board.alarm.set(time));
            Ok(Standing::UnderWay)
        }
        (None, _) => Ok(untold(board, index, node)),
    }
}

/// An image that waits for others gets on as long as they do.
fn work_of(board: &Board<'_>, node: usize) -> Work {
    let since = board.nodes[node].reports.values().map(|report| report.since).max();
    let items = board.items_of(node);
    let is_warming = |report: &Report| report.state == State::Warming;
    let warming = items.filter(|item| board.items[*item].answer().is_some_and(is_warming));
    let bytes = warming.map(|item| board.group_of(item).content.bytes).max();
    Work { since, bytes: bytes.unwrap_or(0) }
}

/// When it will have stalled if nothing more is heard than `since`; or why it does not get on.
fn progress(
    report: &Report,
    since: Timestamp,
    bytes: u64,
    now: Timestamp,
) -> Result<Option<Timestamp>, Reason> {
    let stalls = since + PATIENCE + slowest(bytes / 4);
    match report.state {
        State::Failed => Err(Reason::Failed(trouble(report))),
        State::Waiting | State::Warming if stalls <= now => {
            let message = format!("nothing has come since {since:.0}");
            Err(Reason::Failed(Trouble::new(TroubleKind::PullStalled, &message)))
        }
        State::Waiting | State::Warming => Ok(Some(stalls)),
        _ => Ok(None),
    }
}

fn slowest(bytes: u64) -> SignedDuration {
    let seconds = i64::try_from(bytes / SLOWEST).unwrap_or(LONG);
    SignedDuration::from_secs(seconds.min(LONG))
}

fn trouble(report: &Report) -> Trouble {
    let unknown =
        || Trouble::new(TroubleKind::Unknown, "the node's agent does not say what is wrong");
    report.trouble.clone().unwrap_or_else(unknown)
}

fn untold(board: &mut Board<'_>, item: usize, node: &Node) -> Standing {
    match against(board, item, node) {
        Some(reason) => Standing::Waits(board.reasons.add(reason)),
        None => Standing::Free,
    }
}

/// What speaks against telling the node. What it has already costs nothing: it is only told of it.
fn against(board: &mut Board<'_>, item: usize, node: &Node) -> Option<Reason> {
    if !node.ready {
        return Some(Reason::NodeNotReady);
    }
    if node.disk.is_none() {
        return Some(Reason::NoAgent);
    }
    if let Some(reason) = set_back(board, item, node) {
        return Some(reason);
    }
    closed(board, item).filter(|_| !board.items[item].is_there())
}

fn set_back(board: &mut Board<'_>, item: usize, node: &Node) -> Option<Reason> {
    if board.history.setbacks.is_empty() {
        return None;
    }
    let key = (node.name.clone(), board.group_of(item).digest.clone());
    let setback = board.history.setbacks.get(&key).filter(|setback| setback.retry > board.now)?;
    let (after, because) = (setback.retry, Box::new(setback.reason.clone()));
    board.alarm.set(after);
    Some(Reason::WaitingForRetry { after, because })
}

/// When no cache that wants it has an open window: when the first one opens.
fn closed(board: &mut Board<'_>, item: usize) -> Option<Reason> {
    let mut first: Option<Timestamp> = None;
    for cache in board.caches_of(item) {
        match board.caches[cache].gate {
            Gate::Open { .. } => return None,
            Gate::Closed { opens: None } => {}
            Gate::Closed { opens: Some(opens) } => {
                first = Some(first.map_or(opens, |earlier| earlier.min(opens)));
            }
        }
    }
    first.into_iter().for_each(|opens| board.alarm.set(opens));
    Some(Reason::WaitingForWindow { opens: first })
}

/// Whether the node's agent has left the first thing that it was told unanswered for too long.
fn is_silent(board: &mut Board<'_>, index: usize) -> bool {
    let node = board.nodes[index];
    let mut items = board.items[board.items_of(index)].iter();
    let first = items.find(|item| item.told.is_some() && item.answer().is_none());
    let Some(told) = first.and_then(|item| item.told).filter(|_| node.is_available()) else {
        board.history.unanswered.remove(&node.name);
        return false;
    };
    let (digest, generation) = (told.digest.clone(), told.generation);
    let known = board.history.unanswered.get(&node.name);
    let known = known.filter(|known| known.digest == digest && known.generation == generation);
    let since = known.map_or(board.now, |known| known.since);
    let unanswered = Unanswered { digest, generation, since };
    board.history.unanswered.insert(node.name.clone(), unanswered);
    let silent = since + ANSWER <= board.now;
    if !silent {
        board.alarm.set(since + ANSWER);
    }
    silent
}
