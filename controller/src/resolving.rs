//! What the images of caches stand for: asked once for each rollout, and again after a failure.
//!
//! The answer of a rollout stands in the cache's status, as a digest. A controller that takes over asks
//! for that digest, so that a tag that moved meanwhile does not make two images of one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt};
use onepull_api::ImageCache;
use onepull_resolve::Resolver;
use tokio::{sync::Semaphore, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    convert,
    planner::{CacheId, Digest, ImageRef, Platform, Resolution, Trouble},
};

mod answer;
mod question;

use question::{Asked, Question};

/// The first wait after a failure, doubled with each: a person who mends a secret waits no longer
/// than [`LONGEST_WAIT`], and whoever changes the cache does not wait at all.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(15);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// A registry that asks for a longer wait than this is asked again all the same.
const LONGEST_ASKED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Questions that are asked at once, of all registries together.
const AT_ONCE: usize = 16;

/// Answers that nobody has looked at yet.
const ANSWERS: usize = 64;

/// Asks, and remembers the answers.
pub struct Resolving {
    asker: Asker,
    known: HashMap<(CacheId, ImageRef), Entry>,
    answers: mpsc::Receiver<((CacheId, ImageRef), Asked)>,
}

/// What asking takes.
#[derive(Clone)]
struct Asker {
    client: Client,
    resolver: Arc<Resolver>,
    turns: Arc<Semaphore>,
    tasks: TaskTracker,
    running: CancellationToken,
    answers: mpsc::Sender<((CacheId, ImageRef), Asked)>,
}

/// What is known of one image of one cache.
struct Entry {
    /// The generation of the cache when it was asked last.
    generation: Option<i64>,
    /// The platforms that it was asked for last. Registries count each manifest as a pull, so no others are
    /// looked at.
    platforms: BTreeSet<Platform>,
    /// An answer is on its way.
    asking: bool,
    failures: u32,
    /// When to ask again after a failure.
    again: Option<Timestamp>,
    state: State,
}

enum State {
    /// Next: `Known` or `Failed`.
    Unknown,
    /// For good: a rollout has one answer. Only its platforms grow, with those of the nodes.
    Known(Arc<onepull_resolve::Resolved>),
    /// Next: `Known`; asked again after a while, or when the cache changes.
    Failed(Trouble),
}

// === impl Resolving ===

impl Resolving {
    /// Knows nothing yet. `running` ends what is asked.
    pub fn new(
        client: Client,
        resolver: Arc<Resolver>,
        tasks: TaskTracker,
        running: CancellationToken,
    ) -> Self {
        let (sender, answers) = mpsc::channel(ANSWERS);
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let asker = Asker { client, resolver, turns, tasks, running, answers: sender };
        Self { asker, known: HashMap::new(), answers }
    }

    /// Asks what is to be asked now, forgets what nobody wants any more, and returns when to do so again.
    /// `platforms` are those of the nodes; without any there is nothing to ask for.
    pub fn tend(
        &mut self,
        caches: &[Arc<ImageCache>],
        platforms: &BTreeSet<Platform>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut wanted = HashSet::new();
        for cache in caches {
            for image in convert::images(cache) {
                let key = (convert::id(cache), image);
                if self.is_due(&key, cache.metadata.generation, platforms, now) {
                    self.ask(cache, &key, platforms);
                }
                wanted.insert(key);
            }
        }
        self.known.retain(|key, _| wanted.contains(key));
        let waiting = self.known.values().filter(|entry| !entry.asking);
        waiting.filter_map(|entry| entry.again).min()
    }

    /// Resolves when answers have come.
    ///
    /// # Cancel safety
    /// No answer is lost.
    pub async fn answered(&mut self) {
        // This holds a sender itself, so there is always another one to wait for.
        let mut next = self.answers.recv().await;
        while let Some((key, asked)) = next {
            self.note(&key, asked, Timestamp::now());
            next = self.answers.try_recv().ok();
        }
    }

    /// What is known of a cache's images, for nodes of these platforms.
    pub fn of(
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
        key: &(CacheId, ImageRef),
        generation: Option<i64>,
        platforms: &BTreeSet<Platform>,
        now: Timestamp,
    ) -> bool {
        let Some(entry) = self.known.get(key) else { return !platforms.is_empty() };
        match entry.state {
            _ if entry.asking => false,
            _ if entry.again.is_some_and(|again| now >= again) => true,
            State::Unknown => true,
            State::Known(_) => !platforms.is_subset(&entry.platforms),
            State::Failed(_) => generation != entry.generation,
        }
    }

    fn ask(
        &mut self,
        cache: &ImageCache,
        key: &(CacheId, ImageRef),
        platforms: &BTreeSet<Platform>,
    ) {
        let entry = self.known.entry(key.clone()).or_insert_with(Entry::new);
        let digest = entry.digest().or_else(|| answer::standing_digest(cache, &key.1));
        (entry.asking, entry.generation) = (true, cache.metadata.generation);
        entry.platforms.extend(platforms.iter().cloned());
        let question = Question {
            image: digest.map_or_else(|| key.1.clone(), |digest| key.1.at(&digest)),
            platforms: entry.platforms.clone(),
            namespace: cache.namespace().unwrap_or_default(),
            secrets: cache.spec.image_pull_secrets.iter().map(|s| s.name.clone()).collect(),
        };
        self.asker.ask(key.clone(), question);
    }

    fn note(&mut self, key: &(CacheId, ImageRef), asked: Asked, now: Timestamp) {
        let Some(entry) = self.known.get_mut(key) else { return };
        entry.asking = false;
        match asked {
            Ok(resolved) => {
                (entry.failures, entry.again) = (0, None);
                entry.state = State::Known(Arc::new(resolved));
            }
            Err(failure) => {
                let asked_for = failure.wait.map(|wait| wait.clamp(FIRST_WAIT, LONGEST_ASKED_FOR));
                entry.again = Some(now + asked_for.unwrap_or_else(|| backoff(entry.failures)));
                entry.failures = entry.failures.saturating_add(1);
                // What is known goes on: it is a platform more that could not be asked for.
                if !matches!(entry.state, State::Known(_)) {
                    entry.state = State::Failed(failure.trouble);
                }
            }
        }
    }
}

/// How long to wait after that many failures before.
fn backoff(failures: u32) -> SignedDuration {
    FIRST_WAIT.saturating_mul(1 << failures.min(8)).min(LONGEST_WAIT)
}

// === impl Entry ===

impl Entry {
    fn new() -> Self {
        let (generation, platforms) = (None, BTreeSet::new());
        let state = State::Unknown;
        Self { generation, platforms, asking: false, failures: 0, again: None, state }
    }

    fn digest(&self) -> Option<Digest> {
        match &self.state {
            State::Known(resolved) => Some(resolved.digest.to_string().as_str().into()),
            State::Unknown | State::Failed(_) => None,
        }
    }
}

// === impl Asker ===

impl Asker {
    fn ask(&self, key: (CacheId, ImageRef), question: Question) {
        let Self { client, resolver, turns, running, answers, .. } = self.clone();
        // Large, as it holds a whole conversation with a registry.
        let asked = Box::pin(async move {
            // Never closed.
            let _turn = turns.acquire_owned().await;
            let asked = question.ask(&client, &resolver).await;
            // Whoever would hear it is gone.
            let _ = answers.send((key, asked)).await;
        });
        self.tasks.spawn(async move { running.run_until_cancelled(asked).await });
    }
}
