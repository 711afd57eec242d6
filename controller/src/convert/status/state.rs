//! The one word for what a rollout is doing.

use onepull_api::CacheState;

use crate::planner::{ConditionReason, Conditions};

/// Ready wins, as that is what was asked for; else what is being done, or what keeps it from being done.
pub(super) fn state(conditions: &Conditions) -> CacheState {
    if conditions.ready.holds {
        return CacheState::Ready;
    }
    match conditions.progressing.reason {
        ConditionReason::Resolving => CacheState::Resolving,
        ConditionReason::Seeding => CacheState::Seeding,
        ConditionReason::RollingOut | ConditionReason::RolloutInProgress => CacheState::RollingOut,
        ConditionReason::Removing => CacheState::Removing,
        ConditionReason::WaitingForWindow | ConditionReason::WaitingForNodes => CacheState::Waiting,
        ConditionReason::RolloutComplete
        | ConditionReason::AllNodesWarm
        | ConditionReason::EnoughNodesWarm
        | ConditionReason::NoNodesSelected
        | ConditionReason::AsExpected => CacheState::Ready,
        ConditionReason::RolloutBlocked
        | ConditionReason::ImageNotFound
        | ConditionReason::CredentialRefused
        | ConditionReason::CredentialMissing
        | ConditionReason::RateLimited
        | ConditionReason::RegistryUnreachable
        | ConditionReason::ResolutionFailed
        | ConditionReason::TagConflict
        | ConditionReason::OverDiskBudget
        | ConditionReason::LimitReached
        | ConditionReason::PlatformMissing
        | ConditionReason::NodesFailed => CacheState::Degraded,
    }
}
