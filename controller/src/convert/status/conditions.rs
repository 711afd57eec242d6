//! Conditions, as Kubernetes has them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as Object, Time};
use onepull_api::{ConditionType, ImageCache};

use crate::planner::{Condition, ConditionReason, Conditions};

/// The three conditions of a cache.
pub(super) fn conditions(cache: &ImageCache, told: &Conditions, now: Timestamp) -> Vec<Object> {
    let Conditions { ready, progressing, degraded } = told;
    vec![
        condition(cache, ConditionType::Ready, ready, now),
        condition(cache, ConditionType::Progressing, progressing, now),
        condition(cache, ConditionType::Degraded, degraded, now),
    ]
}

fn condition(cache: &ImageCache, kind: ConditionType, told: &Condition, now: Timestamp) -> Object {
    let type_ = kind.to_string();
    let status = if told.holds { "True" } else { "False" };
    let before = cache.status.iter().flat_map(|status| &status.conditions);
    let mut same = before.filter(|old| old.type_ == type_ && old.status == status);
    Object {
        last_transition_time: same.next().map_or(Time(now), |old| old.last_transition_time.clone()),
        message: told.message.clone(),
        observed_generation: cache.metadata.generation,
        reason: condition_reason(told.reason).to_string(),
        status: status.to_owned(),
        type_,
    }
}

/// The word for why a condition is as it is.
pub fn condition_reason(reason: ConditionReason) -> onepull_api::ConditionReason {
    use onepull_api::ConditionReason as Word;
    match reason {
        ConditionReason::AllNodesWarm => Word::AllNodesWarm,
        ConditionReason::EnoughNodesWarm => Word::EnoughNodesWarm,
        ConditionReason::NoNodesSelected => Word::NoNodesSelected,
        ConditionReason::RolloutInProgress => Word::RolloutInProgress,
        ConditionReason::RolloutBlocked => Word::RolloutBlocked,
        ConditionReason::Resolving => Word::Resolving,
        ConditionReason::Seeding => Word::Seeding,
        ConditionReason::RollingOut => Word::RollingOut,
        ConditionReason::Removing => Word::Removing,
        ConditionReason::RolloutComplete => Word::RolloutComplete,
        ConditionReason::WaitingForWindow => Word::WaitingForWindow,
        ConditionReason::WaitingForNodes => Word::WaitingForNodes,
        ConditionReason::ImageNotFound => Word::ImageNotFound,
        ConditionReason::CredentialRefused => Word::CredentialRefused,
        ConditionReason::CredentialMissing => Word::SecretMissing,
        ConditionReason::RateLimited => Word::RateLimited,
        ConditionReason::RegistryUnreachable => Word::RegistryUnreachable,
        ConditionReason::ResolutionFailed => Word::ResolutionFailed,
        ConditionReason::TagConflict => Word::TagConflict,
        ConditionReason::OverDiskBudget => Word::OverDiskBudget,
        ConditionReason::LimitReached => Word::LimitReached,
        ConditionReason::PlatformMissing => Word::PlatformMissing,
        ConditionReason::NodesFailed => Word::NodesFailed,
        ConditionReason::AsExpected => Word::AsExpected,
    }
}
