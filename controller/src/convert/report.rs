//! From what an agent reports of an image to what the planner makes of it.

use jiff::Timestamp;
use onepull_api::{HeldImage, NodeImageState, NodeReason};

use super::reason::trouble_kind;
use crate::planner::{Report, State, Trouble};

/// What a node says of one image.
pub(super) fn report(held: &HeldImage, now: Timestamp) -> Report {
    Report {
        generation: u64::try_from(held.generation).unwrap_or(0),
        state: state(held.state),
        since: held.since.as_ref().map_or(now, |since| since.0.min(now)),
        complete: held.blobs_complete,
        in_use: held.reason == Some(NodeReason::ImageInUse),
        bytes: held.bytes_done,
        total: held.bytes_total,
        upstream: held.bytes_from_upstream,
        trouble: trouble(held),
    }
}

fn state(state: NodeImageState) -> State {
    match state {
        NodeImageState::Waiting => State::Waiting,
        NodeImageState::Warming => State::Warming,
        NodeImageState::Warm => State::Warm,
        NodeImageState::NeedsUpstream => State::NeedsUpstream,
        NodeImageState::Failed => State::Failed,
        NodeImageState::Removing => State::Removing,
        NodeImageState::Removed => State::Removed,
    }
}

fn trouble(held: &HeldImage) -> Option<Trouble> {
    let kind = trouble_kind(held.reason?)?;
    let words = held.message.as_deref().unwrap_or_else(|| kind.words());
    Some(Trouble::new(kind, words))
}
