//! Reasons: each of the planner has its word in the API, and each of an agent its meaning for the planner.

use onepull_api::{NodeReason, NotWarmReason};

use crate::planner::{Reason, TroubleKind};

/// Why a node lacks an image, as the status of an `ImageCache` says it.
pub fn not_warm_reason(reason: &Reason) -> NotWarmReason {
    match reason {
        Reason::Warming => NotWarmReason::Warming,
        Reason::WaitingForOtherImages => NotWarmReason::WaitingForOtherImages,
        Reason::WaitingForAgent => NotWarmReason::WaitingForAgent,
        Reason::WaitingForResolution => NotWarmReason::WaitingForResolution,
        Reason::WaitingForSeed { .. } => NotWarmReason::WaitingForSeed,
        Reason::WaitingForTurn { .. } => NotWarmReason::WaitingForTurn,
        Reason::WaitingForWindow { .. } => NotWarmReason::WaitingForWindow,
        Reason::WaitingForRetry { .. } => NotWarmReason::WaitingForRetry,
        Reason::NodeNotReady => NotWarmReason::NodeNotReady,
        Reason::VirtualNode => NotWarmReason::VirtualNode,
        Reason::NoAgent => NotWarmReason::NoAgent,
        Reason::OverDiskBudget { .. } => NotWarmReason::OverDiskBudget,
        Reason::LimitReached { .. } => NotWarmReason::LimitReached,
        Reason::TagConflict { .. } => NotWarmReason::TagConflict,
        Reason::PlatformMissing { .. } => NotWarmReason::PlatformMissing,
        Reason::NoPeerHasIt => NotWarmReason::NoPeerHasIt,
        Reason::Failed(trouble) => NotWarmReason::from(node_reason(trouble.kind)),
    }
}

/// The agent's word for what goes wrong.
fn node_reason(kind: TroubleKind) -> NodeReason {
    match kind {
        TroubleKind::ImageNotFound => NodeReason::ImageNotFound,
        TroubleKind::CredentialRefused => NodeReason::CredentialRefused,
        TroubleKind::CredentialMissing => NodeReason::CredentialMissing,
        TroubleKind::RateLimited => NodeReason::RateLimited,
        TroubleKind::RegistryUnreachable => NodeReason::RegistryUnreachable,
        TroubleKind::PullStalled => NodeReason::PullStalled,
        TroubleKind::ContentMismatch => NodeReason::ContentMismatch,
        TroubleKind::DiskFull => NodeReason::DiskFull,
        TroubleKind::RuntimeFailed => NodeReason::RuntimeFailed,
        TroubleKind::Unknown => NodeReason::Unknown,
    }
}

/// What goes wrong, in an agent's word; nothing when the word only says why a state lasts.
pub fn trouble_kind(reason: NodeReason) -> Option<TroubleKind> {
    match reason {
        NodeReason::OtherImagesFirst | NodeReason::NoPeerHasIt | NodeReason::ImageInUse => None,
        NodeReason::ImageNotFound => Some(TroubleKind::ImageNotFound),
        NodeReason::CredentialRefused => Some(TroubleKind::CredentialRefused),
        NodeReason::CredentialMissing => Some(TroubleKind::CredentialMissing),
        NodeReason::RateLimited => Some(TroubleKind::RateLimited),
        NodeReason::RegistryUnreachable => Some(TroubleKind::RegistryUnreachable),
        NodeReason::PullStalled => Some(TroubleKind::PullStalled),
        NodeReason::ContentMismatch => Some(TroubleKind::ContentMismatch),
        NodeReason::DiskFull => Some(TroubleKind::DiskFull),
        NodeReason::RuntimeFailed => Some(TroubleKind::RuntimeFailed),
        NodeReason::Unknown => Some(TroubleKind::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::Trouble;

    const KINDS: [TroubleKind; 10] = [
        TroubleKind::ImageNotFound,
        TroubleKind::CredentialRefused,
        TroubleKind::CredentialMissing,
        TroubleKind::RateLimited,
        TroubleKind::RegistryUnreachable,
        TroubleKind::PullStalled,
        TroubleKind::ContentMismatch,
        TroubleKind::DiskFull,
        TroubleKind::RuntimeFailed,
        TroubleKind::Unknown,
    ];

    #[test]
    fn what_an_agent_says_is_what_people_are_told() {
        for kind in KINDS {
            assert_eq!(trouble_kind(node_reason(kind)), Some(kind));
            let reason = Reason::Failed(Trouble::new(kind, ""));
            assert_eq!(format!("{:?}", not_warm_reason(&reason)), reason.as_str());
        }
    }
}
