//! Brings declared images to this node before a pod wants them.
//!
//! One image at a time, in the order of the desired state: by the runtime's own pull where the node is
//! told `Upstream`; else from peers, written straight into the runtime's store, all layers at once and
//! the manifest last. When a pull wants the same image meanwhile, it is left to the runtime (ADR 10).

use std::sync::{Arc, atomic::AtomicU64};

use futures::future::BoxFuture;
use onepull_mirror::{Sink, Store, Warm};
use prometheus_client::registry::Registry;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    desired::{Desired, DesiredImage, DesiredState},
    logins::Logins,
    origins::Origins,
    runtime::Runtime,
    status::NodeStatus,
};

mod blob;
mod board;
mod books;
mod contents;
mod course;
mod image;
mod keeping;
mod leases;
mod ledger;
mod login;
mod metrics;
mod movement;
mod obstacle;
mod plan;
mod pulls;
mod reason;
mod removals;
mod removing;
mod source;
mod turn;
mod turns;
mod unpacking;

use board::Board;
use books::{Books, Next};
use leases::Leases;
use ledger::State;
use metrics::WarmMetrics;
use plan::Plan;

/// What a warmer is made of.
pub struct Parts {
    /// What to hold.
    pub desired: Arc<dyn Desired>,
    /// The runtime's images.
    pub runtime: Arc<dyn Runtime>,
    /// With which logins it pulls from registries.
    pub logins: Arc<dyn Logins>,
    /// Where layers are written.
    pub sink: Arc<dyn Sink>,
    /// The same place, as it is read.
    pub store: Arc<dyn Store>,
    /// The way to peers.
    pub warm: Warm,
    /// Where the bytes of complete blobs came from.
    pub origins: Origins,
    /// Resolves when the first image may be seen to.
    pub begins: BoxFuture<'static, ()>,
    /// Runs the warmer; close it and wait for it to end what was begun.
    pub tasks: TaskTracker,
    /// Ends it.
    pub running: CancellationToken,
}

/// Brings images. Clones share everything.
#[derive(Clone)]
pub struct Warmer(Arc<Inner>);

struct Inner {
    desired: Arc<dyn Desired>,
    runtime: Arc<dyn Runtime>,
    logins: Arc<dyn Logins>,
    sink: Arc<dyn Sink>,
    store: Arc<dyn Store>,
    warm: Warm,
    tasks: TaskTracker,
    board: Board,
    metrics: WarmMetrics,
}

// === impl Warmer ===

impl Warmer {
    /// Starts to bring what is desired.
    pub fn start(parts: Parts, registry: &mut Registry) -> Self {
        let Parts { desired, runtime, logins, sink, store, warm, origins, begins, tasks, running } =
            parts;
        let (board, metrics) = (Board::new(origins), WarmMetrics::register(registry));
        let inner = Inner { desired, runtime, logins, sink, store, warm, tasks, board, metrics };
        let warmer = Self(Arc::new(inner));
        let run = warmer.clone().run(begins);
        warmer.0.tasks.spawn(running.run_until_cancelled_owned(run));
        warmer
    }

    /// How far it is.
    pub fn status(&self) -> NodeStatus {
        self.0.board.status(&*self.0.store, Instant::now())
    }

    /// Tells when the state of an image has changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.board.changes()
    }

    async fn run(self, begins: BoxFuture<'static, ()>) {
        begins.await;
        let mut desired = self.0.desired.watch();
        let (mut books, mut leases) = (Books::default(), Leases::default());
        loop {
            let now = desired.borrow_and_update().clone();
            self.adopt(&now, &mut books, &mut leases).await;
            match books.choose(&now, Instant::now()) {
                Next::See(image) => {
                    let state = tokio::select! {
                        state = self.see_to(&now, &mut books, &image) => state,
                        () = is_undesired(&mut desired, &image) => continue,
                    };
                    self.enter(&now, &mut books, &image, state);
                }
                Next::Remove(image) => {
                    let became = self.remove(&now, &image, &mut leases).await;
                    info!(image = %image.names.first(), digest = %image.digest, ?became);
                    books.removals.enter(&image, became, Instant::now());
                    self.post(&now, &books);
                }
                Next::Rest(until) => tokio::select! {
                    changed = desired.changed() => if changed.is_err() { return },
                    () = sleep([until, leases.next_try(Instant::now())]) => {}
                },
            }
        }
    }

    async fn see_to(
        &self,
        desired: &Arc<DesiredState>,
        books: &mut Books,
        image: &DesiredImage,
    ) -> State {
        let outcome = match self.holds(image).await {
            Ok(false) => {
                self.enter(desired, books, image, State::Warming);
                self.bring(image).await
            }
            held => held.map(|_| ()),
        };
        let was_held = books.images.get(image).is_some_and(|entry| entry.state == State::Held);
        if outcome.is_ok() && !was_held {
            self.keep(image).await;
        }
        outcome.map_or_else(State::from, |()| State::Held)
    }

    /// Makes the mirror answer for what is declared now, and lets go of what is not.
    async fn adopt(&self, desired: &Arc<DesiredState>, books: &mut Books, leases: &mut Leases) {
        books.adopt(desired, Instant::now());
        self.0.warm.declared().replace(desired.images.iter().map(|image| image.digest));
        self.end_leases(desired, leases).await;
        self.post(desired, books);
    }

    fn enter(
        &self,
        desired: &Arc<DesiredState>,
        books: &mut Books,
        image: &DesiredImage,
        state: State,
    ) {
        let is_news = books.images.get(image).is_some_and(|entry| entry.state != state);
        match &state {
            State::Failed(_, error) | State::NeedsUpstream(error) => {
                warn!(image = %image.names.first(), digest = %image.digest, "{error}");
            }
            _ if is_news => info!(image = %image.names.first(), digest = %image.digest, ?state),
            _ => {}
        }
        books.images.enter(image, state, Instant::now());
        self.post(desired, books);
    }

    fn post(&self, desired: &Arc<DesiredState>, books: &Books) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let count = self.0.board.post(desired, books);
        self.0.metrics.wanted.set(gauge(desired.images.len()));
        self.0.metrics.held.set(gauge(count.held));
        self.0.metrics.failed.set(gauge(count.failed));
    }

    fn note_plan(&self, image: &DesiredImage, plan: Arc<Plan>) {
        self.0.board.note_plan(image, plan);
    }

    fn knows_plan(&self, image: &DesiredImage) -> bool {
        self.0.board.plan(image).is_some()
    }

    fn written(&self, image: &DesiredImage) -> Arc<AtomicU64> {
        self.0.board.written(image)
    }
}

/// Resolves when an image is no longer desired as it was.
async fn is_undesired(desired: &mut watch::Receiver<Arc<DesiredState>>, image: &DesiredImage) {
    while desired.changed().await.is_ok() {
        if !desired.borrow_and_update().images.contains(image) {
            return;
        }
    }
    std::future::pending().await
}

/// Until the earliest of these.
async fn sleep(until: [Option<Instant>; 2]) {
    match until.into_iter().flatten().min() {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
