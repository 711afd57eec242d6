//! What is known of the images of caches, and what is to be asked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use onepull_api::{ImageCache, ImageQuestion};

use super::{
    Asked, Question, answer,
    delegate::Delegate,
    errand::{Errand, Given},
    question::Failure,
};
use crate::{
    convert,
    planner::{CacheId, Digest, ImageRef, Platform, Resolution, Trouble, TroubleKind},
};

/// The first wait after a failure, doubled with each: a person who mends a secret waits no longer
/// than [`LONGEST_WAIT`], and whoever changes the cache does not wait at all.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(15);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// A registry that asks for a longer wait than this is asked again all the same.
const LONGEST_ASKED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// One image of one cache.
type Key = (CacheId, ImageRef);

/// What is known.
#[derive(Default)]
pub(super) struct Book {
    known: HashMap<Key, Entry>,
    /// Questions so far.
    asked: u64,
}

/// By what an answer finds its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    key: Key,
    number: u64,
}

/// What is known of one image of one cache.
struct Entry {
    /// Of the cache: one that is deleted and made again may have other secrets, and begins another rollout.
    uid: Option<String>,
    /// The generation of the cache when it was asked last.
    generation: Option<i64>,
    /// The platforms that it was asked for last. Registries count each manifest as a pull, so no others are
    /// looked at.
    platforms: BTreeSet<Platform>,
    /// What it stands for in the rollout under way: this is asked for, and not the tag.
    digest: Option<Digest>,
    /// The registry has just said that it has no such digest. Next: the tag is asked for, once.
    is_gone: bool,
    /// Whose answer is on its way.
    asking: Option<Asking>,
    failures: u32,
    /// When to ask again after a failure.
    again: Option<Timestamp>,
    state: State,
}

/// Who is being asked.
enum Asking {
    /// The registry. Next: nobody, or a node.
    Registry {
        /// Of the question.
        number: u64,
        /// In full; with a digest where the answer has to be that one.
        image: ImageRef,
    },
    /// A node, in this controller's place. Next: nobody.
    Node(Box<Errand>),
}

enum State {
    /// Next: `Known` or `Failed`.
    Unknown,
    /// For good: a rollout has one answer. Only its platforms grow, with those of the nodes.
    Known(Arc<onepull_resolve::Resolved>),
    /// Next: `Known`; asked again after a while, or when the cache changes.
    Failed(Trouble),
}

// === impl Book ===

impl Book {
    /// What is to be asked now. What nobody wants any more is forgotten.
    pub(super) fn due(
        &mut self,
        caches: &[Arc<ImageCache>],
        platforms: &BTreeSet<Platform>,
        now: Timestamp,
    ) -> Vec<(Ticket, Question)> {
        let (mut wanted, mut due) = (HashSet::new(), Vec::new());
        for cache in caches {
            for image in convert::images(cache) {
                let key = (convert::id(cache), image);
                if self.known.get(&key).is_some_and(|entry| entry.uid != cache.uid()) {
                    self.known.remove(&key);
                }
                if self.is_due(&key, cache.metadata.generation, platforms, now) {
                    due.push(self.ask(cache, &key, platforms));
                }
                wanted.insert(key);
            }
        }
        self.known.retain(|key, _| wanted.contains(key));
        due
    }

    /// When something is to be asked again, if no answer comes before.
    pub(super) fn again(&self) -> Option<Timestamp> {
        let again = |entry: &Entry| match &entry.asking {
            None => entry.again,
            Some(Asking::Registry { .. }) => None,
            Some(Asking::Node(errand)) => errand.until(),
        };
        self.known.values().filter_map(again).min()
    }

    /// Hears what nodes were told in this controller's place, and chooses whom to ask next.
    pub(super) fn send_out(&mut self, delegates: &[Delegate<'_>], now: Timestamp) {
        for entry in self.known.values_mut() {
            let heard = entry.errand_mut().and_then(|errand| errand.hear(delegates, now));
            entry.settle_if(heard, now);
        }
        let mut given: Vec<Given> = self.given().cloned().collect();
        for entry in self.known.values_mut() {
            let errand = entry.errand_mut().filter(|errand| errand.given().is_none());
            let Some(errand) = errand else { continue };
            let ended = errand.give(delegates, &given, now);
            given.extend(errand.given().cloned());
            entry.settle_if(ended, now);
        }
    }

    /// What nodes are to be asked, by their names.
    pub(super) fn questions(&self) -> BTreeMap<String, Vec<ImageQuestion>> {
        let mut questions: BTreeMap<String, Vec<ImageQuestion>> = BTreeMap::new();
        for Given { node, question } in self.given() {
            questions.entry(node.clone()).or_default().push(question.clone());
        }
        for questions in questions.values_mut() {
            questions.sort_by(|a, b| (&a.name, &a.asked).cmp(&(&b.name, &b.asked)));
            questions.dedup();
        }
        questions
    }

    fn given(&self) -> impl Iterator<Item = &Given> {
        self.known.values().filter_map(|entry| match &entry.asking {
            Some(Asking::Node(errand)) => errand.given(),
            _ => None,
        })
    }

    /// What is known of a cache's images, for nodes of these platforms.
    pub(super) fn of(
        &self,
        cache: &ImageCache,
        platforms: &BTreeSet<Platform>,
    ) -> BTreeMap<ImageRef, Resolution> {
        let id = convert::id(cache);
        let known = |image: ImageRef| {
            let entry = self.known.get(&(id.clone(), image.clone()))?;
            let resolution = match &entry.state {
                State::Unknown => return None,
                State::Known(resolved) => {
                    Resolution::Resolved(answer::resolved(resolved, platforms))
                }
                State::Failed(trouble) => Resolution::Failed(trouble.clone()),
            };
            Some((image, resolution))
        };
        convert::images(cache).into_iter().filter_map(known).collect()
    }

    fn is_due(
        &self,
        key: &Key,
        generation: Option<i64>,
        platforms: &BTreeSet<Platform>,
        now: Timestamp,
    ) -> bool {
        let Some(entry) = self.known.get(key) else { return !platforms.is_empty() };
        match entry.state {
            _ if entry.asking.is_some() => false,
            _ if entry.again.is_some_and(|again| now >= again) => true,
            State::Unknown => true,
            State::Known(_) => !platforms.is_subset(&entry.platforms),
            State::Failed(_) => generation != entry.generation,
        }
    }

    fn ask(
        &mut self,
        cache: &ImageCache,
        key: &Key,
        platforms: &BTreeSet<Platform>,
    ) -> (Ticket, Question) {
        self.asked += 1;
        let new = || Entry::new(cache.uid(), answer::standing_digest(cache, &key.1));
        let entry = self.known.entry(key.clone()).or_insert_with(new);
        let digest = entry.digest.as_ref().filter(|_| !entry.is_gone);
        let image = digest.map_or_else(|| key.1.clone(), |digest| key.1.at(digest));
        entry.asking = Some(Asking::Registry { number: self.asked, image: image.clone() });
        entry.generation = cache.metadata.generation;
        entry.platforms.extend(platforms.iter().cloned());
        let question = Question {
            image,
            platforms: entry.platforms.clone(),
            namespace: cache.namespace().unwrap_or_default(),
            secrets: cache.spec.image_pull_secrets.iter().map(|s| s.name.clone()).collect(),
        };
        (Ticket { key: key.clone(), number: self.asked }, question)
    }

    /// Takes note of an answer. One whose question nobody asks any more is dropped: its cache was deleted
    /// meanwhile, and perhaps made again.
    pub(super) fn note(&mut self, ticket: &Ticket, asked: Asked, now: Timestamp) {
        let Some(entry) = self.known.get_mut(&ticket.key) else { return };
        let image = match &entry.asking {
            Some(Asking::Registry { number, image }) if *number == ticket.number => image.clone(),
            _ => return,
        };
        match asked {
            Err(refusal) if refusal.is_refusal() => {
                let errand = Errand::new(&image, &entry.platforms, refusal);
                entry.asking = Some(Asking::Node(Box::new(errand)));
            }
            asked => entry.settle(asked, now),
        }
    }
}

/// How long to wait after that many failures before.
fn backoff(failures: u32) -> SignedDuration {
    FIRST_WAIT.saturating_mul(1 << failures.min(8)).min(LONGEST_WAIT)
}

// === impl Entry ===

impl Entry {
    fn new(uid: Option<String>, digest: Option<Digest>) -> Self {
        let (generation, platforms) = (None, BTreeSet::new());
        let (is_gone, asking, failures, again) = (false, None, 0, None);
        let state = State::Unknown;
        Self { uid, generation, platforms, digest, is_gone, asking, failures, again, state }
    }

    fn errand_mut(&mut self) -> Option<&mut Errand> {
        match &mut self.asking {
            Some(Asking::Node(errand)) => Some(errand),
            _ => None,
        }
    }

    fn settle_if(&mut self, asked: Option<Asked>, now: Timestamp) {
        if let Some(asked) = asked {
            self.settle(asked, now);
        }
    }

    /// Nobody is asked any more, as this is the answer.
    fn settle(&mut self, asked: Asked, now: Timestamp) {
        self.asking = None;
        let was_gone = std::mem::take(&mut self.is_gone);
        match asked {
            Ok(resolved) => {
                (self.failures, self.again) = (0, None);
                self.digest = Some(resolved.digest.to_string().as_str().into());
                self.state = State::Known(Arc::new(resolved));
            }
            // Somebody deleted it: what the tag stands for now is the only image that there is. Some registries say
            // so to whom they do not let in, too, so the digest is not forgotten for that.
            Err(failure) if !was_gone && self.has_lost_its_digest(&failure) => {
                (self.is_gone, self.again) = (true, Some(now));
            }
            Err(failure) => {
                let asked_for = failure.wait.map(|wait| wait.clamp(FIRST_WAIT, LONGEST_ASKED_FOR));
                self.again = Some(now + asked_for.unwrap_or_else(|| backoff(self.failures)));
                self.failures = self.failures.saturating_add(1);
                // What is known goes on: it is a platform more that could not be asked for.
                if !matches!(self.state, State::Known(_)) {
                    self.state = State::Failed(failure.trouble);
                }
            }
        }
    }

    /// Whether the registry has no more what the rollout began with, and this controller does not know it either.
    fn has_lost_its_digest(&self, failure: &Failure) -> bool {
        let is_known = matches!(self.state, State::Known(_));
        !is_known && self.digest.is_some() && failure.trouble.kind == TroubleKind::ImageNotFound
    }
}

#[cfg(test)]
mod tests;
