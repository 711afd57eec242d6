//! How a node stands to an image: it holds it, or lacks it for a reason out of the closed list.

use std::fmt;

use jiff::Timestamp;
use onepull_api::{
    DesiredImage, HeldImage, NodeImageCache, NodeImageState, NotWarmNode, NotWarmReason,
};
use serde::{Serialize, Serializer};

use crate::{
    convert::{not_warm_reason, trouble_kind},
    planner::{Reason, Trouble, TroubleKind},
};

/// How a node stands to an image, in the words of the planner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    /// One word for it.
    pub(crate) state: Word,
    /// Since when, where that is known.
    pub(crate) since: Option<Timestamp>,
    /// What is the case, and what can be done about it; nothing when it is warm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// One word for how a node stands to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    /// The node holds it: a pod that starts there pulls nothing.
    Warm,
    /// No image cache names it for that node.
    NotDeclared,
    /// The node lacks it.
    Lacks(NotWarmReason),
}

// === impl Standing ===

impl Standing {
    /// The node holds it.
    pub(crate) fn warm(since: Option<Timestamp>) -> Self {
        Self { state: Word::Warm, since, message: None }
    }

    /// The node lacks it, for a reason of the planner.
    pub(crate) fn lacks(reason: &Reason, since: Option<Timestamp>) -> Self {
        let state = Word::Lacks(not_warm_reason(reason));
        Self { state, since, message: Some(reason.to_string()) }
    }

    /// As the controller says in the status of a cache.
    pub(crate) fn told(entry: &NotWarmNode, since: Option<Timestamp>) -> Self {
        let message = entry.message.clone().unwrap_or_else(|| "nobody said why".to_owned());
        Self { state: Word::Lacks(entry.reason), since, message: Some(message) }
    }

    /// As a node's object says of an image that the node was told to hold.
    pub(crate) fn of(object: &NodeImageCache, image: &DesiredImage) -> Self {
        match answer(object, image) {
            Some(held) => Self::reported(held),
            None if has_agent(object) => Self::lacks(&Reason::WaitingForAgent, None),
            None => Self::lacks(&Reason::NoAgent, None),
        }
    }

    /// Whether the node holds it.
    pub(crate) fn is_warm(&self) -> bool {
        self.state == Word::Warm
    }

    fn reported(held: &HeldImage) -> Self {
        let since = held.since.as_ref().map(|since| since.0);
        let said = |reason: Reason| {
            let standing = Self::lacks(&reason, since);
            Self { message: held.message.clone().or(standing.message), ..standing }
        };
        match held.state {
            NodeImageState::Warm => Self::warm(since),
            NodeImageState::Warming => said(Reason::Warming),
            NodeImageState::Waiting => said(Reason::WaitingForOtherImages),
            NodeImageState::NeedsUpstream => said(Reason::NoPeerHasIt),
            NodeImageState::Failed => {
                let kind = held.reason.and_then(trouble_kind).unwrap_or(TroubleKind::Unknown);
                said(Reason::Failed(Trouble::new(kind, kind.words())))
            }
            // It was to be removed, and is wanted again.
            NodeImageState::Removing | NodeImageState::Removed => said(Reason::WaitingForAgent),
        }
    }
}

/// What the node's agent says of an image, if it speaks of what the node was told last.
pub(crate) fn answer<'a>(
    object: &'a NodeImageCache,
    image: &DesiredImage,
) -> Option<&'a HeldImage> {
    let mut held = object.status.iter().flat_map(|status| &status.images);
    held.find(|held| held.digest == image.digest && held.generation >= image.generation)
}

/// Whether an agent has ever reported from the node: the first thing that it tells is its disk.
pub(crate) fn has_agent(object: &NodeImageCache) -> bool {
    object.status.as_ref().is_some_and(|status| status.disk.is_some())
}

// === impl Word ===

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Warm => f.pad("Warm"),
            Self::NotDeclared => f.pad("NotDeclared"),
            Self::Lacks(reason) => f.pad(&format!("{reason:?}")),
        }
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use onepull_api::NodeReason;

    use super::*;
    use crate::plugin::testing::{desired, held, node, noon};

    #[test]
    fn a_report_of_an_earlier_rollout_counts_for_nothing() {
        let image = DesiredImage { generation: 2, ..desired("app") };
        let report = HeldImage { generation: 1, ..held("app", NodeImageState::Warm) };
        let object = node("a", vec![image.clone()], vec![report]);
        let standing = Standing::of(&object, &image);
        assert_eq!(standing.state, Word::Lacks(NotWarmReason::WaitingForAgent));
    }

    #[test]
    fn a_failure_is_told_in_the_agents_sentence_else_in_the_planners() {
        let mut report = held("app", NodeImageState::Failed);
        report.reason = Some(NodeReason::DiskFull);
        let words = |report: &HeldImage| {
            let object = node("a", vec![desired("app")], vec![report.clone()]);
            Standing::of(&object, &desired("app"))
        };
        let expected = Standing {
            state: Word::Lacks(NotWarmReason::DiskFull),
            since: Some(noon()),
            message: Some("the node's disk is full".into()),
        };
        assert_eq!(words(&report), expected);
        report.message = Some("no space left on device".into());
        assert_eq!(words(&report).message.as_deref(), Some("no space left on device"));
    }

    #[test]
    fn without_a_report_of_its_disk_a_node_has_no_agent() {
        let mut object = node("a", vec![desired("app")], Vec::new());
        object.status = None;
        let standing = Standing::of(&object, &desired("app"));
        assert_eq!(standing.state.to_string(), "NoAgent");
    }
}
