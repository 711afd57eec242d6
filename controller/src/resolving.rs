//! What the images of caches stand for: asked once for each rollout, and again after a failure.
//!
//! A registry that does not let the controller in may let nodes in, as on clouds; then one of them asks it
//! (`errand`), by way of its NodeImageCache.
//!
//! The answer of a rollout stands in the cache's status, as a digest. A controller that takes over asks
//! for that digest, so that a tag that moved meanwhile does not make two images of one. `book` is what
//! is known and what is to be asked, without asking it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use kube::Client;
use onepull_api::{ImageCache, ImageQuestion};
use onepull_resolve::Resolver;
use tokio::{sync::Semaphore, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::planner::{ImageRef, Platform, Resolution};

mod answer;
mod book;
mod delegate;
mod errand;
mod question;

use book::{Book, Ticket};
pub use delegate::Delegate;
use question::{Asked, Question};

/// Questions that are asked at once, of all registries together.
const AT_ONCE: usize = 16;

/// Answers that nobody has looked at yet.
const ANSWERS: usize = 64;

/// Asks, and remembers the answers.
pub struct Resolving {
    asker: Asker,
    book: Book,
    answers: mpsc::Receiver<(Ticket, Asked)>,
}

/// What asking takes.
#[derive(Clone)]
struct Asker {
    client: Client,
    resolver: Arc<Resolver>,
    turns: Arc<Semaphore>,
    tasks: TaskTracker,
    running: CancellationToken,
    answers: mpsc::Sender<(Ticket, Asked)>,
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
        Self { asker, book: Book::default(), answers }
    }

    /// Asks what is to be asked now, forgets what nobody wants any more, and returns when to do so again.
    /// `platforms` are those of the nodes; without any there is nothing to ask for. `delegates` are those
    /// that may ask in this controller's place.
    pub fn tend(
        &mut self,
        caches: &[Arc<ImageCache>],
        platforms: &BTreeSet<Platform>,
        delegates: &[Delegate<'_>],
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.book.send_out(delegates, now);
        for (ticket, question) in self.book.due(caches, platforms, now) {
            self.asker.ask(ticket, question);
        }
        self.book.again()
    }

    /// What nodes are to be asked, by their names.
    pub fn questions(&self) -> BTreeMap<String, Vec<ImageQuestion>> {
        self.book.questions()
    }

    /// Resolves when answers of registries have come.
    ///
    /// # Cancel safety
    /// No answer is lost.
    pub async fn answered(&mut self) {
        // This holds a sender itself, so there is always another one to wait for.
        let mut next = self.answers.recv().await;
        while let Some((ticket, asked)) = next {
            self.book.note(&ticket, asked, Timestamp::now());
            next = self.answers.try_recv().ok();
        }
    }

    /// What is known of a cache's images, for nodes of these platforms.
    pub fn of(
        &self,
        cache: &ImageCache,
        platforms: &BTreeSet<Platform>,
    ) -> BTreeMap<ImageRef, Resolution> {
        self.book.of(cache, platforms)
    }
}

// === impl Asker ===

impl Asker {
    fn ask(&self, ticket: Ticket, question: Question) {
        let Self { client, resolver, turns, running, answers, .. } = self.clone();
        // Large, as it holds a whole conversation with a registry.
        let asked = Box::pin(async move {
            // Never closed.
            let _turn = turns.acquire_owned().await;
            let asked = question.ask(&client, &resolver).await;
            // Whoever would hear it is gone.
            let _ = answers.send((ticket, asked)).await;
        });
        self.tasks.spawn(async move { running.run_until_cancelled(asked).await });
    }
}
