//! What comes next, and what a person can do, for each reason why a node lacks an image.
//!
//! The sentence that goes with a reason says what is the case; this is the rest. Every list of reasons is
//! matched in full, so a new one does not compile before it has its advice.

use onepull_api::NotWarmReason;

use super::standing::Word;
use crate::uninstall::PODS;

/// What comes next, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// What happens by itself.
    pub(crate) next: &'static str,
    /// What a person can do; nothing where there is nothing to do.
    pub(crate) todo: Option<String>,
}

/// Advice on a node's standing to an image; `node` is its name, or a placeholder for several.
pub(crate) fn advice(word: Word, node: &str) -> Advice {
    let (next, todo) = match word {
        Word::Warm => ("a pod that starts here pulls nothing", None),
        Word::NotDeclared => (
            "nothing: a pod that starts here pulls it, from other nodes where they have it",
            Some("name it in an ImageCache whose nodeSelector selects the node".to_owned()),
        ),
        Word::Lacks(reason) => (next(reason), todo(reason, node)),
    };
    Advice { next, todo }
}

fn next(reason: NotWarmReason) -> &'static str {
    use NotWarmReason as Why;
    match reason {
        Why::Warming => "it is warm once the last byte is here and unpacked",
        Why::WaitingForOtherImages => "its turn comes when the images before it are here",
        Why::WaitingForAgent => "it goes on as soon as the agent answers",
        Why::WaitingForResolution => "nodes are told as soon as its digest is known",
        Why::WaitingForSeed => {
            "the node is told once that download has begun, or, where the rollout is Staged, is done"
        }
        Why::WaitingForTurn => "it begins when one of them is done",
        Why::WaitingForWindow => "it begins when the window opens",
        Why::WaitingForRetry => "it is tried again by itself",
        Why::NodeNotReady => "it goes on when the node is Ready again",
        Why::VirtualNode => "nothing",
        Why::NoAgent => "it begins within seconds of the agent's first report",
        Why::OverDiskBudget | Why::LimitReached => "it begins by itself as soon as there is room",
        Why::TagConflict => "nothing, until the two caches agree",
        Why::PlatformMissing => "nothing",
        Why::NoPeerHasIt => "it is tried again, and begins when a node has it",
        Why::ImageNotFound | Why::CredentialRefused | Why::RegistryUnreachable => {
            "the registry is asked again by itself, less and less often"
        }
        Why::CredentialMissing => "the node asks again by itself",
        Why::RateLimited => "it is tried again when the registry lets it",
        Why::PullStalled => {
            "the agent tries again; if it was to pull from the registry, another node does"
        }
        Why::ContentMismatch => "it is fetched again, from elsewhere",
        Why::DiskFull => "it is tried again, and goes on when there is room",
        Why::RuntimeFailed => "it is tried again, after a minute at most",
        Why::Unknown => "see the sentence above",
    }
}

fn todo(reason: NotWarmReason, node: &str) -> Option<String> {
    use NotWarmReason as Why;
    let agent = || format!("kubectl get pods -A -l {PODS} --field-selector spec.nodeName={node}");
    let todo = match reason {
        Why::WaitingForAgent | Why::PullStalled => format!("look at the agent's pod and its log: {}", agent()),
        Why::NoAgent => format!("kubectl onepull check; is the agent's pod there? {}", agent()),
        Why::WaitingForTurn => "to have more nodes at work at once, raise spec.rollout.maxParallel".into(),
        Why::WaitingForWindow => "to begin now, change spec.rollout.window".into(),
        Why::NodeNotReady => format!("kubectl describe node {node}"),
        Why::VirtualNode => "leave such nodes out by the cache's nodeSelector".into(),
        Why::OverDiskBudget => {
            "the room is set by controller.diskBudgetPercent and controller.diskReservePercent of the chart".into()
        }
        Why::LimitReached => "name fewer images, or ask the operator for more".into(),
        Why::TagConflict => "name the image by its digest in one of them".into(),
        Why::PlatformMissing => "build it for that platform too, or select other nodes".into(),
        Why::ImageNotFound => "check the name, and whether it was pushed".into(),
        Why::CredentialRefused | Why::CredentialMissing => {
            "check spec.imagePullSecrets of the cache, or the node's credential plugins".into()
        }
        Why::RateLimited => "give the cache a login with a higher limit (spec.imagePullSecrets)".into(),
        Why::RegistryUnreachable => "check the registry, and the way to it from the node".into(),
        Why::DiskFull => "free space on the node".into(),
        Why::RuntimeFailed => "look at containerd on the node: journalctl -u containerd".into(),
        Why::Warming
        | Why::WaitingForOtherImages
        | Why::WaitingForResolution
        | Why::WaitingForSeed
        | Why::WaitingForRetry
        | Why::NoPeerHasIt
        | Why::ContentMismatch
        | Why::Unknown => return None,
    };
    Some(todo)
}
