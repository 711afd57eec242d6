//! An image that somebody asks about, who wants it where, and how a node stands to it.

use jiff::Timestamp;
use kube::ResourceExt;
use onepull_api::{
    CacheState, ConditionType, ImageCache, ImageStatus, NodeImageCache, NotWarmNode, NotWarmReason,
};

use super::{
    pool::Place,
    progress::Progress,
    standing::{Standing, Word, has_agent},
};
use crate::{convert::full_name, planner::Reason};

/// An image that somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its name, in full.
    pub(crate) name: String,
}

// === impl Wanted ===

impl Wanted {
    /// As in a pod.
    pub(crate) fn new(written: &str) -> Self {
        Self { name: full_name(written).to_string() }
    }

    /// Whether a cache's name for an image means this one.
    pub(crate) fn is(&self, written: &str) -> bool {
        full_name(written).as_str() == self.name
    }

    /// Whether what a node was told is this image: by its name, or by its digest in the same repository.
    pub(crate) fn is_told(&self, progress: &Progress) -> bool {
        let same_digest = || {
            let (repository, digest) = self.name.split_once('@')?;
            let in_it = |name: &String| repository_of(name) == repository;
            Some(progress.digest == digest && progress.names().any(in_it))
        };
        progress.names().any(|name| *name == self.name) || same_digest().unwrap_or(false)
    }

    /// Whether a cache names it, in any of its lists.
    pub(crate) fn is_in(&self, cache: &ImageCache) -> bool {
        cache.spec.cache_spec.iter().flat_map(|list| &list.images).any(|name| self.is(name))
    }

    /// Whether a cache wants it on a node.
    pub(crate) fn is_for(&self, cache: &ImageCache, place: &Place) -> bool {
        let mut lists = cache.spec.cache_spec.iter();
        lists.any(|list| {
            place.has(&list.node_selector) && list.images.iter().any(|name| self.is(name))
        })
    }

    /// What the status of a cache says of it.
    pub(crate) fn status<'a>(&self, cache: &'a ImageCache) -> Option<&'a ImageStatus> {
        let mut images = cache.status.iter().flat_map(|status| &status.images);
        images.find(|image| self.is(&image.image))
    }

    /// What is known of it on a node: the copy that is warm, if there is one, as pods start from that.
    pub(crate) fn progress(&self, object: Option<&NodeImageCache>) -> Option<Progress> {
        let mut told = object.map(Progress::of).unwrap_or_default();
        told.retain(|progress| self.is_told(progress));
        let warm = told.iter().position(|progress| progress.standing.is_warm()).unwrap_or(0);
        (!told.is_empty()).then(|| told.swap_remove(warm))
    }

    /// How a node stands to it, from all that the objects say.
    ///
    /// The agent knows best what it does; the controller, whether that still comes to anything.
    pub(crate) fn standing(
        &self,
        place: &Place,
        object: Option<&NodeImageCache>,
        caches: &[&ImageCache],
    ) -> Standing {
        let progress = self.progress(object);
        if let Some(progress) = progress.as_ref().filter(|progress| progress.standing.is_warm()) {
            return progress.standing.clone();
        }
        let theirs: Vec<_> =
            caches.iter().copied().filter(|cache| self.is_for(cache, place)).collect();
        if theirs.is_empty() && progress.is_none() {
            let message = Some("no image cache names it for this node".to_owned());
            return Standing { state: Word::NotDeclared, since: None, message };
        }
        if place.virtual_node {
            return Standing::lacks(&Reason::VirtualNode, None);
        }
        if !place.ready {
            return Standing::lacks(&Reason::NodeNotReady, place.since);
        }
        let said = theirs.iter().find_map(|cache| self.entry(cache, place));
        match progress {
            Some(progress) => match said.filter(|entry| is_of_silence(entry.reason)) {
                Some(entry) => Standing::told(entry, progress.standing.since),
                None => progress.standing,
            },
            None => self.untold(said, object, &theirs),
        }
    }

    /// How a node stands to it that was not told to hold it.
    fn untold(
        &self,
        said: Option<&NotWarmNode>,
        object: Option<&NodeImageCache>,
        caches: &[&ImageCache],
    ) -> Standing {
        if let Some(entry) = said {
            return Standing::told(entry, None);
        }
        if !object.is_some_and(has_agent) {
            return Standing::lacks(&Reason::NoAgent, None);
        }
        // Where several want it, the one that was made first has its way.
        let first = caches.iter().min_by_key(|cache| cache.creation_timestamp());
        first.map_or_else(
            || Standing::lacks(&Reason::WaitingForResolution, None),
            |cache| self.of_cache(cache),
        )
    }

    /// What holds for all nodes that lack it, as far as the status of a cache says.
    fn of_cache(&self, cache: &ImageCache) -> Standing {
        let Some(status) = cache.status.as_ref().filter(|_| is_observed(cache)) else {
            return Standing {
                state: Word::Lacks(NotWarmReason::Unknown),
                since: cache.creation_timestamp().map(|time| time.0),
                message: Some(UNSEEN.to_owned()),
            };
        };
        let image = self.status(cache);
        if image.is_none_or(|image| image.digest.is_none()) {
            let waits = Standing::lacks(&Reason::WaitingForResolution, since(cache));
            let said = image.and_then(|image| image.message.clone());
            return Standing { message: said.or(waits.message), ..waits };
        }
        let alike = status.not_warm_nodes.iter().find(|entry| {
            entry.image.as_deref().is_some_and(|name| self.is(name)) && is_of_image(entry.reason)
        });
        match alike {
            Some(entry) => Standing::told(entry, None),
            None => {
                let progressing = condition(cache, ConditionType::Progressing);
                let message = progressing.map_or("its turn comes", |it| it.message.as_str());
                let message = format!("the node has not been told yet: {message}");
                let state = Word::Lacks(NotWarmReason::Unknown);
                Standing { state, since: since(cache), message: Some(message) }
            }
        }
    }

    fn entry<'a>(&self, cache: &'a ImageCache, place: &Place) -> Option<&'a NotWarmNode> {
        let mut entries = cache.status.iter().flat_map(|status| &status.not_warm_nodes);
        entries.find(|entry| {
            entry.name == place.name && entry.image.as_deref().is_some_and(|name| self.is(name))
        })
    }
}

/// What to say of a cache that no controller has looked at.
pub(crate) const UNSEEN: &str = "no controller has looked at the cache as it is now: `kubectl onepull check` says whether one runs";

/// Whether the controller has looked at a cache as it is now.
pub(crate) fn is_observed(cache: &ImageCache) -> bool {
    let status = cache.status.as_ref();
    status.is_some_and(|status| {
        status.state != CacheState::Pending
            && status.observed_generation >= cache.metadata.generation
    })
}

/// A condition of a cache.
pub(crate) fn condition(
    cache: &ImageCache,
    kind: ConditionType,
) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let kind = kind.to_string();
    cache.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// Since when a cache does what it does.
fn since(cache: &ImageCache) -> Option<Timestamp> {
    condition(cache, ConditionType::Progressing).map(|condition| condition.last_transition_time.0)
}

/// Whether the controller says it of a node that says nothing more itself.
pub(crate) fn is_of_silence(reason: NotWarmReason) -> bool {
    matches!(
        reason,
        NotWarmReason::PullStalled
            | NotWarmReason::WaitingForAgent
            | NotWarmReason::WaitingForRetry
    )
}

/// Whether a reason holds for every node that lacks the image and was not told.
fn is_of_image(reason: NotWarmReason) -> bool {
    matches!(
        reason,
        NotWarmReason::WaitingForSeed
            | NotWarmReason::WaitingForTurn
            | NotWarmReason::WaitingForWindow
            | NotWarmReason::WaitingForResolution
    )
}

fn repository_of(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use onepull_api::NodeImageState;

    use super::*;
    use crate::plugin::testing::{cache, desired, digest, held, name, node, node_with, place};

    fn word(place: &Place, object: Option<&NodeImageCache>, caches: &[&ImageCache]) -> String {
        Wanted::new(&name("app")).standing(place, object, caches).state.to_string()
    }

    #[test]
    fn the_agent_knows_what_it_does_and_the_controller_whether_that_comes_to_anything() {
        let models = cache("models", &name("app"));
        let warming = |name: &str| node_with(name, "app", NodeImageState::Warming);
        let untold = |name: &str| node(name, Vec::new(), Vec::new());
        let caches = [&models];
        assert_eq!(word(&place("gpu-2"), Some(&warming("gpu-2")), &caches), "Warming");
        assert_eq!(
            word(&place("gpu-3"), Some(&warming("gpu-3")), &caches),
            "Warming",
            "told since"
        );
        assert_eq!(word(&place("gpu-4"), Some(&warming("gpu-4")), &caches), "PullStalled");
        assert_eq!(word(&place("gpu-3"), Some(&untold("gpu-3")), &caches), "WaitingForSeed");
        assert_eq!(
            word(&place("gpu-9"), Some(&untold("gpu-9")), &caches),
            "WaitingForSeed",
            "as others"
        );
        assert_eq!(word(&place("gpu-9"), None, &caches), "NoAgent");
        assert_eq!(word(&place("gpu-9"), None, &[]), "NotDeclared");
        let warm = node_with("gpu-4", "app", NodeImageState::Warm);
        assert_eq!(word(&place("gpu-4"), Some(&warm), &[]), "Warm", "whoever wanted it");
    }

    #[test]
    fn a_cache_that_no_controller_has_looked_at_says_so() {
        let mut models = cache("models", &name("app"));
        models.metadata.generation = Some(2);
        let object = node("gpu-9", Vec::new(), Vec::new());
        let standing =
            Wanted::new(&name("app")).standing(&place("gpu-9"), Some(&object), &[&models]);
        assert_eq!(standing.message.as_deref(), Some(UNSEEN));
    }

    #[test]
    fn an_image_is_found_by_its_digest_in_the_same_repository_alone() {
        let object = node("a", vec![desired("app")], vec![held("app", NodeImageState::Warm)]);
        let found = |repository: &str| {
            Wanted::new(&format!("{repository}@{}", digest("app")))
                .progress(Some(&object))
                .is_some()
        };
        assert!(found("r.example/app"));
        assert!(!found("r.example/other"));
    }

    #[test]
    fn of_two_rollouts_by_one_name_the_copy_that_is_warm_counts() {
        let (mut new, mut old) = (desired("app"), desired("old"));
        (new.digest, old.refs) = (digest("new"), vec![name("app")]);
        let object = node("a", vec![new, old], vec![held("old", NodeImageState::Warm)]);
        let progress = Wanted::new(&name("app")).progress(Some(&object)).unwrap();
        assert_eq!(progress.digest, digest("old"));
    }
}
